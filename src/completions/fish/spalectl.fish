# SPDX-License-Identifier: MIT
# Completion of spalectl in fish.

# A column of a list, where it may be read without being asked for a password.
function __spalectl_column
    spalectl list $argv[1] --no-ask-password --no-legend 2>/dev/null | string trim |
        string replace -ra ' +' ' ' | string split -f $argv[2] ' '
end

function __spalectl_clients
    __spalectl_column clients 1
end

set -l verbs status list grant extend revoke allow disallow client monitor
set -l more_verbs counters protect log-only trial confirm reload setup
set -l list_verbs grants clients allowed ports interfaces limited
set -l client_verbs add remove enable disable show set
set -l switch_verbs on off
complete -c spalectl -f
complete -c spalectl -n __fish_use_subcommand -a "$verbs $more_verbs"
set -l seen __fish_seen_subcommand_from
complete -c spalectl -n "$seen list; and not $seen $list_verbs" -a "$list_verbs"
complete -c spalectl -n "$seen client; and not $seen $client_verbs" -a "$client_verbs"
complete -c spalectl -n "$seen log-only; and not $seen $switch_verbs" -a "$switch_verbs"
complete -c spalectl -n '__fish_seen_subcommand_from revoke' -a '(__spalectl_clients; __spalectl_column grants 2)'
complete -c spalectl -n '__fish_seen_subcommand_from extend' -a '(__spalectl_column grants 1)'
complete -c spalectl -n '__fish_seen_subcommand_from disallow' -a '(__spalectl_column allowed 1)'
complete -c spalectl -n '__fish_seen_subcommand_from remove enable disable show set' -a '(__spalectl_clients)'
complete -c spalectl -l json -d 'for programs: JSON'
complete -c spalectl -l no-pager -d 'never through a pager'
complete -c spalectl -l no-legend -d 'neither titles nor the number of rows'
complete -c spalectl -l no-ask-password -d 'fail where a password is wanted'
complete -c spalectl -s h -l help -d 'show this text, or that of a verb'
complete -c spalectl -l version -d 'show the version'
complete -c spalectl -n '__fish_seen_subcommand_from list revoke setup' -l client -x -a '(__spalectl_clients)' -d 'the client of this name'
complete -c spalectl -n '__fish_seen_subcommand_from list' -l source -x -d 'those of this address or prefix'
complete -c spalectl -n '__fish_seen_subcommand_from list' -l origin -x -a 'knock administrator always' -d 'those made by knock or administrator, or always'
complete -c spalectl -n '__fish_seen_subcommand_from grant client' -l idle -x -d 'ends after this time without a packet'
complete -c spalectl -n '__fish_seen_subcommand_from grant client' -l grace -x -d 'then new conversations revive it for this time'
complete -c spalectl -n '__fish_seen_subcommand_from grant client' -l lifetime -x -d 'ends after this time in any case'
complete -c spalectl -n '__fish_seen_subcommand_from grant allow disallow protect log-only' -l permanent -d 'keep it over reloads and restarts'
complete -c spalectl -n '__fish_seen_subcommand_from grant counters setup' -l interface -x -a '(ls /sys/class/net)' -d 'the interface'
complete -c spalectl -n '__fish_seen_subcommand_from revoke counters' -l all -d 'all of them'
complete -c spalectl -n '__fish_seen_subcommand_from revoke' -l id -x -a '(__spalectl_column grants 1)' -d 'the grant of this number'
complete -c spalectl -n '__fish_seen_subcommand_from client' -l public-key -r -F -d 'the client\'s public key, made elsewhere'
complete -c spalectl -n '__fish_seen_subcommand_from client' -l server-pub -r -F -d 'the server\'s public key, for the key file'
complete -c spalectl -n '__fish_seen_subcommand_from client setup' -l out -r -F -d 'where the client\'s new key file goes (NAME.key)'
complete -c spalectl -n '__fish_seen_subcommand_from client' -l ports -x -d 'what it may open (empty: what is protected)'
complete -c spalectl -n '__fish_seen_subcommand_from client' -l not-before -x -d 'no knock counts before'
complete -c spalectl -n '__fish_seen_subcommand_from client' -l not-after -x -d 'no knock counts after'
complete -c spalectl -n '__fish_seen_subcommand_from client' -l allowed-sources -x -d 'from where it may knock'
complete -c spalectl -n '__fish_seen_subcommand_from client' -l require-source-match -x -a 'auto no' -d 'auto or no'
complete -c spalectl -n '__fish_seen_subcommand_from client' -l disabled -d 'enrol it, but let it in later'
complete -c spalectl -n '__fish_seen_subcommand_from client setup' -l force -d 'replace files that exist'
complete -c spalectl -n '__fish_seen_subcommand_from setup' -l port -x -d 'the ports to protect (22/tcp)'
complete -c spalectl -n '__fish_seen_subcommand_from setup' -l knock-port -x -d 'the UDP port that takes knocks (random)'
complete -c spalectl -n '__fish_seen_subcommand_from setup' -l address -x -d 'where you come from (found by itself)'
complete -c spalectl -n '__fish_seen_subcommand_from setup' -l no-grant -d 'no grant for where you come from'
complete -c spalectl -n '__fish_seen_subcommand_from setup' -l trial -x -d 'enforce for this time, until \'confirm\' is called'
complete -c spalectl -n '__fish_seen_subcommand_from setup' -l log-only -d 'count, and drop nothing yet'
complete -c spalectl -n '__fish_seen_subcommand_from setup' -s y -l yes -d 'do not ask'
