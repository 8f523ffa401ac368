# fish completion for leat. The candidates come from leat itself.

function __leat_candidates
    set -l typed (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --cut-at-cursor --current-token)
    for line in (command $typed[1] completions --for-line -- $typed[2..] "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path (string replace --regex '^--[^=]*=' '' -- $current)
            case ':dirs'
                __fish_complete_directories (string replace --regex '^--[^=]*=' '' -- $current)
            case ':*'
            case '*'
                echo $line
        end
    end
end

complete --command leat --no-files --arguments '(__leat_candidates)'
