# SPDX-License-Identifier: MIT
# Completion of spaled in fish.

complete -c spaled -f
complete -c spaled -s c -l config -r -F -d 'configuration'
complete -c spaled -l check-config -d 'say what is wrong with configuration, keys and clients; exit'
complete -c spaled -l show-config -d 'print the configuration in effect, with its origins; exit'
complete -c spaled -l reload -x -d 'have the running daemon PID reload; exit with the outcome'
complete -c spaled -l unpin -d 'remove what is pinned, which opens the ports; exit'
complete -c spaled -l state-directory -x -a '(__fish_complete_directories)' -d 'where replay floors are kept'
complete -c spaled -l first-start -d 'no daemon ran here before: take knocks at once'
complete -c spaled -l drop-privs -x
complete -c spaled -s h -l help -d 'print this; exit'
complete -c spaled -l version -d 'print the version; exit'
complete -c spaled -s i -l interface -x -a '(ls /sys/class/net)' -d 'interface to protect; may be given several times'
complete -c spaled -s S -l knock-port -x -d 'UDP port that takes knocks; may be given several times'
complete -c spaled -s t -l idle -x -d 'a grant is idle after this time without a packet'
complete -c spaled -s g -l grace -x -d 'until then a new conversation makes it active again'
complete -c spaled -s m -l mode -x -a 'tc xdp' -d 'where packets are judged'
complete -c spaled -s n -l log-only -d 'count what would be dropped, and let it pass'
complete -c spaled -l server-key -r -F -d 'private key of the server; may be given several times'
complete -c spaled -l clients -x -a '(__fish_complete_directories)' -d 'directory of the clients\' keys'
complete -c spaled -s p -l pin -d 'keep the ports closed when spaled is killed'
complete -c spaled -l pin-dir -x -a '(__fish_complete_directories)'
complete -c spaled -l external-xdp -d 'use what another loader attached and pinned'
