# SPDX-License-Identifier: MIT
# Completion of spale-send in fish.

set -l verbs profile help
set -l profile_verbs create list show set delete
complete -c spale-send -f
complete -c spale-send -n __fish_use_subcommand -a "$verbs"
complete -c spale-send -n __fish_use_subcommand -a '(spale-send profile list 2>/dev/null)'
set -l seen __fish_seen_subcommand_from
complete -c spale-send -n "$seen profile; and not $seen $profile_verbs" -a "$profile_verbs"
complete -c spale-send -n "$seen profile; and $seen show set delete" -a '(spale-send profile list 2>/dev/null)'
complete -c spale-send -n "$seen help; and not $seen send profile" -a 'send profile'
complete -c spale-send -s p -l profile -x -a '(spale-send profile list 2>/dev/null)' -d 'take host, port, key and the rest from this profile'
complete -c spale-send -l host -x -d 'knock at every address of this host'
complete -c spale-send -l port -x -d 'the UDP port that the server takes knocks at'
complete -c spale-send -l key -r -F -d 'key file: the server\'s public and the client\'s private key'
complete -c spale-send -l source -x -d 'send from this address, and only to its family'
complete -c spale-send -l count -x -d 'send N knocks, 0.2 s apart (1)'
complete -c spale-send -l step -x -d 'seconds of a time step; the server\'s are 30 (30)'
complete -c spale-send -l format -x -a '1' -d 'format of the knock; 1 is the only one'
complete -c spale-send -l wait -x -d 'then wait until this TCP port answers'
complete -c spale-send -l timeout -x -d 'how long to wait at most (10)'
complete -c spale-send -s v -l verbose -d 'say what is done'
complete -c spale-send -l overwrite -d 'create: replace a profile of that name'
complete -c spale-send -s y -l yes -d 'delete: do not ask'
complete -c spale-send -s h -l help -d 'show this text'
complete -c spale-send -l version -d 'show the version'
