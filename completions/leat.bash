# bash completion for leat. The candidates come from leat itself.

_leat() {
    local i word prefix=
    local -a words=()
    COMPREPLY=()
    # bash takes --color=auto apart at the equals sign; leat wants it whole.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#words[@]} > 0)) && [[ $word == = && ${words[-1]} == --* && ${words[-1]} != *=* ]]; then
            words[-1]+="="
        elif ((${#words[@]} > 0)) && [[ ${COMP_WORDS[i - 1]} == = && ${words[-1]} == --*= ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    [[ ${words[-1]} == --*=* ]] && prefix=${words[-1]%%=*}=
    while IFS=$'\t' read -r word _; do
        case $word in
            :files) compopt -o default ;;
            :dirs) compopt -o dirnames ;;
            :nospace) compopt -o nospace ;;
            *) COMPREPLY+=("${word#"$prefix"}") ;;
        esac
    done < <("$1" completions --for-line -- "${words[@]}" 2>/dev/null)
}

complete -F _leat leat
