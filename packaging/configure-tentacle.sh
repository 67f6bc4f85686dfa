#!/usr/bin/env bash
# Asks how this machine's agent is to be set up, shows the commands and runs them (as /opt/octopus/tentacle/
# configure-tentacle.sh in the package). Answers may come from a file or a pipe as well: one line each, blank for what
# stands in brackets.
#   TENTACLE   another program than the Tentacle beside this script
#   SUDO       another command than sudo to become root with; blank for none
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
tentacle=${TENTACLE:-$here/Tentacle}
if [[ -v SUDO ]]; then
    read -ra become <<< "$SUDO"
elif ((EUID == 0)); then
    become=()
else
    become=(sudo)
fi

fail() { echo "configure-tentacle: $1" >&2; exit 1; }

# QUESTION [DEFAULT]: sets answer. Without a default it asks until there is one.
ask() {
    while :; do
        printf '%s%s: ' "$1" "${2:+ [$2]}"
        IFS= read -r answer || [[ $answer ]] || fail "the answers ended at: $1"
        answer=${answer#"${answer%%[![:space:]]*}"}
        answer=${answer%"${answer##*[![:space:]]}"}
        answer=${answer:-${2-}}
        [[ -z $answer ]] || return 0
        echo 'Please give an answer.'
    done
}
# The same for what may be blank.
ask_optional() {
    printf '%s: ' "$1"
    IFS= read -r answer || [[ $answer ]] || fail "the answers ended at: $1"
}
# The same for secrets, which are not shown.
ask_secret() {
    while :; do
        printf '%s: ' "$1"
        IFS= read -rs answer || [[ $answer ]] || fail "the answers ended at: $1"
        echo
        [[ -z $answer ]] || return 0
        echo 'Please give an answer.'
    done
}
# QUESTION DEFAULT CHOICE…: sets answer to one of the choices.
choose() {
    local question=$1 default=$2 choice
    shift 2
    while :; do
        ask "$question" "$default"
        for choice; do [[ ${answer,,} != "${choice,,}" ]] || return 0; done
        echo "Please answer with one of: $*"
    done
}
ask_port() {
    while :; do
        ask "$1" "$2"
        if [[ $answer =~ ^[0-9]{1,5}$ ]] && ((10#$answer >= 1 && 10#$answer <= 65535)); then return 0; fi
        echo 'A port is a number from 1 to 65535.'
    done
}
# OPTION LIST: adds the option for each item of a list with commas to the array options.
options=()
add_each() {
    local item items
    IFS=, read -ra items <<< "$2"
    for item in "${items[@]}"; do
        item=${item#"${item%%[![:space:]]*}"}
        item=${item%"${item##*[![:space:]]}"}
        [[ -z $item ]] || options+=("$1" "$item")
    done
}

# The commands: their words one behind the other, where each begins, and what it reads on standard input, which is where
# secrets go: a command line can be seen by everybody.
words=()
begins=()
inputs=()
plan() { # INPUT WORD…
    inputs+=("$1")
    begins+=("${#words[@]}")
    words+=("${@:2}")
}
# NUMBER: sets command to the words of it.
take() {
    local begin=${begins[$1]} end=${begins[$1 + 1]:-${#words[@]}}
    command=("${words[@]:begin:end-begin}")
}

proxy=()
proxy_password=
configure_proxy() { # COMMAND: sets proxy to the words of it.
    choose 'Does the agent need a proxy? (y/n)' N y n
    [[ ${answer,,} == y ]] || return 0
    ask 'Proxy host'
    proxy=("$1" --instance "$instance" --proxyEnable=true --proxyHost "$answer")
    ask_port 'Proxy port' 80
    proxy+=(--proxyPort "$answer")
    ask_optional 'Proxy user, blank for none'
    [[ $answer ]] || return 0
    proxy+=(--proxyUsername "$answer" --proxyPassword-file -)
    ask_secret 'Proxy password'
    proxy_password=$answer
}

ask 'Name of the instance' Tentacle
instance=$answer
# Characters that the stock wizard takes away, because of what shells do with them; here they would do no harm, but the
# name is in unit and file names.
cleaned=${instance//[\'\"\$^&]/}
if [[ $cleaned != "$instance" ]]; then
    echo "The characters ' \" \$ ^ & are left out: $cleaned"
    instance=$cleaned
fi
[[ $instance && $instance != */* && $instance != . && $instance != .. ]] || fail "'$instance' cannot be the name of an instance"
choose $'Kind of agent: 1) listening: the server dials it  2) polling: it dials the server\nKind' 1 1 2
kind=$answer
ask 'Directory for configuration and logs' /etc/octopus
root=${answer%/}
[[ $root == /* ]] || fail "'$root' is not an absolute path"
ask 'Directory for applications' /home/Octopus/Applications
applications=$answer

plan '' create-instance --instance "$instance" --config "$root/$instance/tentacle-$instance.config"
plan '' new-certificate --instance "$instance" --if-blank

if [[ $kind == 1 ]]; then
    ask_port 'Port to listen on' 10933
    port=$answer
    plan '' configure --instance "$instance" --app "$applications" --port "$port" --noListen False --reset-trust
    configure_proxy proxy
    while :; do
        ask "Thumbprint of the server's certificate"
        thumbprint=${answer//[: ]/}
        [[ $thumbprint =~ ^[0-9A-Fa-f]{40}$ ]] && break
        echo 'A thumbprint is 40 hexadecimal digits; the portal shows it under Configuration, Thumbprint.'
    done
    # Trust goes before the proxy, as in the stock wizard.
    plan '' configure --instance "$instance" --trust "$thumbprint"
    ((${#proxy[@]} == 0)) || plan "$proxy_password" "${proxy[@]}"
else
    ask 'Address of the server, e.g. https://octopus.example.com'
    server=$answer
    choose $'Sign in with: 1) API key  2) user and password\nSign in with' 1 1 2
    if [[ $answer == 1 ]]; then
        ask_secret 'API key'
        secret=$answer
        credentials=(--api-key-file -)
    else
        ask 'User'
        credentials=(--username "$answer")
        ask_secret 'Password'
        secret=$answer
        credentials+=(--password-file -)
    fi
    choose $'Type: 1) deployment target  2) worker\nType' 1 1 2
    type=$answer
    ask 'Space' Default
    space=$answer
    ask 'Name shown on the server' "$(hostname)"
    name=$answer
    choose $'Does the server take polling connections on its own host? 1) yes  2) no, elsewhere\nPolling' 1 1 2
    if [[ $answer == 1 ]]; then
        ask_port 'Polling port of the server' 10943
        address=(--server-comms-port "$answer")
    else
        ask 'Polling address, e.g. https://polling.example.com:10943'
        address=(--server-comms-address "$answer")
    fi
    if [[ $type == 1 ]]; then
        register='register-with'
        ask 'Environments, with commas'
        add_each --environment "$answer"
        ask 'Roles, with commas'
        add_each --role "$answer"
    else
        register='register-worker'
        ask 'Worker pools, with commas'
        add_each --workerpool "$answer"
    fi
    plan '' configure --instance "$instance" --app "$applications" --noListen True --reset-trust
    configure_proxy polling-proxy
    ((${#proxy[@]} == 0)) || plan "$proxy_password" "${proxy[@]}"
    plan "$secret" "$register" --instance "$instance" --server "$server" --name "$name" --comms-style TentacleActive \
        "${address[@]}" "${credentials[@]}" --space "$space" "${options[@]}"
fi
plan '' service --install --start --instance "$instance"

echo
echo 'These commands will be run:'
for index in "${!begins[@]}"; do
    take "$index"
    printf -v shown ' %q' "${command[@]}"
    echo "  ${become[*]:+${become[*]} }$tentacle$shown${inputs[index]:+ <<< ********}"
done
printf 'Press Enter to run them, Ctrl+C to stop. '
IFS= read -r _ || true
echo

for index in "${!begins[@]}"; do
    take "$index"
    "${become[@]}" "$tentacle" "${command[@]}" <<< "${inputs[index]}" || fail "the command failed: ${command[0]}"
done
echo "Tentacle instance '$instance' is now installed"
