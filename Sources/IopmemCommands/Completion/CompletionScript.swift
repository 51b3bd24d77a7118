// SPDX-License-Identifier: GPL-2.0
import ArgumentParser

extension Iopmemctl {
    /// The script that a command line asks for, in each way in which ArgumentParser takes it; nil if it
    /// asks for none, or for a shell that is not known.
    static func completionScript(askedBy arguments: [String]) -> String? {
        let option = "--generate-completion-script"
        let words = arguments.flatMap { $0.split(separator: "=", maxSplits: 1).map(String.init) }
        guard words.first == option, words.count <= 2,
            let shell = words.count == 2
                ? CompletionShell(rawValue: words[1]) : CompletionShell.autodetected()
        else { return nil }
        let script = completionScript(for: shell)
        return shell == .bash ? script + "\n" + wordsWithColons : script
    }

    /// For bash a colon ends a word, and PCI addresses have two: what stands together on the line is
    /// put together before ArgumentParser's function sees it, and what is typed already is taken off
    /// its answers. Not quoted as names of files are: bash would not know `0000\:03` again.
    private static let wordsWithColons = """
        _iopmemctl_with_colons() {
            local rest="${COMP_LINE}" word
            local -a joined=()
            local -i cursor=0 index
            for index in "${!COMP_WORDS[@]}"; do
                word="${COMP_WORDS[${index}]}"
                if [[ "${index}" -gt 0 && "${rest}" != [[:space:]]* &&
                    ("${word}" = :* || "${joined[-1]}" = *:) ]]; then
                    joined[-1]+="${word}"
                else
                    joined+=("${word}")
                fi
                [[ "${index}" -eq "${COMP_CWORD}" ]] && cursor="$((${#joined[@]} - 1))"
                rest="${rest#*"${word}"}"
            done
            local -a COMP_WORDS=("${joined[@]}")
            local -i COMP_CWORD="${cursor}"
            local -r current="${COMP_WORDS[${COMP_CWORD}]}"
            _iopmemctl "${1}" "${current}" "${COMP_WORDS[${COMP_CWORD} - 1]}"
            [[ "${COMPREPLY[*]}" = *:* ]] && compopt +o filenames
            [[ "${COMP_WORDBREAKS}" = *:* ]] &&
                COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
        }

        complete -o filenames -F _iopmemctl_with_colons iopmemctl

        """
}
