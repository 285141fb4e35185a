# shellcheck shell=bash disable=SC2154
# Stands in for installShellFiles: files by their names, and a failure where the real one fails.
installShellCompletion() {
    local file name place
    for file in "$@"; do
        name=$(basename "$file")
        case $name in
        ?*.bash) place=bash-completion/completions/$name ;;
        ?*.fish) place=fish/vendor_completions.d/$name ;;
        ?*.zsh) place=zsh/site-functions/_${name%.zsh} ;;
        *) echo "installShellCompletion: unknown shell for path: $file" >&2; return 2 ;;
        esac
        [ -s "$file" ] || { echo "installShellCompletion: $file is empty" >&2; return 1; }
        install -D --mode=644 --no-target-directory "$file" "$out/share/$place" || return
    done
}
installManPage() {
    local file section
    for file in "$@"; do
        section=${file##*.}
        install -D --mode=644 --no-target-directory "$file" "$out/share/man/man$section/$(basename "$file")" || return
    done
}
