"""What each shell evaluates to complete command lines of `runner` and of `python -m runner`, and to stop doing so."""

from typing import Final

_BASH: Final = r"""_convrunner() {
    local program=("${COMP_WORDS[0]/#\~/$HOME}") line="${COMP_LINE:0:COMP_POINT}" word prefix="" found
    [[ ${1##*/} == python* ]] && program+=(-m runner)
    # bash replaces only what follows the last separator
    word="${line##*[[:space:]]}"
    [[ $COMP_WORDBREAKS == *=* ]] && prefix="${word%"${word##*[=:]}"}"
    COMPREPLY=()
    while IFS= read -r found; do
        [[ -z $found ]] && continue
        printf -v found %q "${found#"$prefix"}"
        COMPREPLY+=("${found//\\,/,}")
    done < <(COMP_LINE="$line" "${program[@]}" -sc query=bash 2>/dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=./] ]] && compopt -o nospace
}
_convrunner_python() {
    if [[ $COMP_LINE =~ ^[^[:space:]]+[[:space:]]+-m[[:space:]]+runner[[:space:]] ]]; then
        _convrunner "$@"
    elif declare -F _python >/dev/null; then
        _python "$@"
    fi
}
complete -F _convrunner runner
complete -o default -F _convrunner_python python python3
"""

_ZSH: Final = r"""_convrunner() {
    local -a program found going
    program=("${(Q)words[1]/#\~/$HOME}")
    [[ ${words[1]:t} == python* ]] && program+=(-m runner)
    found=("${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" "${program[@]}" -sc query=zsh 2>/dev/null)}")
    going=(${(M)found:#*[=./]})
    found=(${found:#*[=./]})
    (( $#going )) && compadd -Q -S '' -- "${(@q)going}"
    (( $#found )) && compadd -Q -- "${(@q)found}"
}
_convrunner_python() {
    if [[ $words[2] == -m && $words[3] == runner ]] && (( CURRENT > 3 )); then
        _convrunner
    elif (( $+functions[_python] )); then
        _python "$@"
    else
        _files
    fi
}
compdef _convrunner runner
compdef _convrunner_python python python3
"""

_FISH: Final = r"""function __convrunner_candidates
    set -l program (commandline -opc)[1]
    string match -qr '(^|/)python[^/]*$' -- $program; and set -a program -m runner
    COMP_LINE=(commandline -cp) $program -sc query=fish 2>/dev/null
end
function __convrunner_is_python
    set -l words (commandline -opc)
    test (count $words) -ge 3; and test "$words[2] $words[3]" = "-m runner"
end
complete -c runner -f -a '(__convrunner_candidates)'
complete -c python -n __convrunner_is_python -f -a '(__convrunner_candidates)'
complete -c python3 -n __convrunner_is_python -f -a '(__convrunner_candidates)'
"""

SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
REMOVALS: Final = {
    "bash": "complete -r runner python python3\nunset -f _convrunner _convrunner_python\n",
    "zsh": "compdef -d runner python python3\nunfunction _convrunner _convrunner_python\n",
    "fish": "complete -e -c runner\n"
    "for name in python python3\n    complete -e -c $name -n __convrunner_is_python\nend\n"
    "functions -e __convrunner_candidates __convrunner_is_python\n",
}
