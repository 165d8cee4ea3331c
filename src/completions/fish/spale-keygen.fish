# SPDX-License-Identifier: MIT
# Completion of spale-keygen in fish.

set -l verbs server client
complete -c spale-keygen -f
complete -c spale-keygen -n __fish_use_subcommand -a "$verbs"
complete -c spale-keygen -l name -x -d 'name of the client: letters, digits, \'_\', \'-\' and \'.\''
complete -c spale-keygen -l bundle -d 'client: write NAME.bundle too, the key file for spale-send:'
complete -c spale-keygen -l server-pub -r -F -d 'client: the server\'s public key for the bundle'
complete -c spale-keygen -l install -d 'write to where spaled looks for keys'
complete -c spale-keygen -l out -x -a '(__fish_complete_directories)' -d 'write to this directory instead of the working directory'
complete -c spale-keygen -l force -d 'replace files that exist'
complete -c spale-keygen -s h -l help -d 'show this text'
complete -c spale-keygen -l version -d 'show the version'
