/* tusk completion: a few lines for a shell, which ask `tusk completion next` what may follow. */
#include "client/cli.h"
#include "client/cli_complete.h"

#include <stdio.h>
#include <string.h>

static const char bash_script[] =
    "# Completion of tusk for bash: source <(tusk completion bash), or a file in\n"
    "# /usr/share/bash-completion/completions.\n"
    "_tusk()\n"
    "{\n"
    "    local line word current=${COMP_WORDS[COMP_CWORD]}\n"
    "    COMPREPLY=()\n"
    "    [[ $current != = ]] || current=\n"
    "    while IFS= read -r line; do\n"
    "        if [[ $line == :files ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
    "            return\n"
    "        fi\n"
    "        word=${line%%$'\\t'*}\n"
    "        if [[ $word == \"$current\"* ]]; then\n"
    "            [[ $word != *= ]] || compopt -o nospace 2>/dev/null\n"
    "            printf -v word %q \"$word\"\n"
    "            COMPREPLY+=(\"$word\")\n"
    "        fi\n"
    "    done < <(\"${COMP_WORDS[0]}\" completion next -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
    "2>/dev/null)\n"
    "}\n"
    "complete -F _tusk tusk\n";

static const char zsh_script[] =
    "#compdef tusk\n"
    "# Completion of tusk for zsh: source <(tusk completion zsh), or a file _tusk in $fpath.\n"
    "_tusk()\n"
    "{\n"
    "    local line\n"
    "    local -a candidates\n"
    "    for line in \"${(@f)$(\"${words[1]}\" completion next -- \"${(@)words[2,CURRENT]}\" "
    "2>/dev/null)}\"; do\n"
    "        if [[ $line == :files ]]; then\n"
    "            _files\n"
    "            return\n"
    "        fi\n"
    "        [[ -z $line ]] || candidates+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
    "    done\n"
    "    _describe tusk candidates\n"
    "}\n"
    "if [[ $funcstack[1] == _tusk ]]; then\n"
    "    _tusk \"$@\"\n"
    "else\n"
    "    compdef _tusk tusk\n"
    "fi\n";

static const char fish_script[] =
    "# Completion of tusk for fish: tusk completion fish | source, or a file tusk.fish in\n"
    "# ~/.config/fish/completions.\n"
    "function __tusk_next\n"
    "    set -l words (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    for line in ($words[1] completion next -- $words[2..-1] \"$current\" 2>/dev/null)\n"
    "        if test \"$line\" = ':files'\n"
    "            __fish_complete_path \"$current\"\n"
    "        else\n"
    "            echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c tusk -f -a '(__tusk_next)'\n";

static const struct {
    const char *name;
    const char *script;
} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

struct completion_options {
    struct cli *cli;
    const char *shell;
    char **words; /* Of `next` */
    int word_count;
};

static error_t completion_option(int key, char *arg, struct argp_state *state)
{
    struct completion_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case ARGP_KEY_ARG:
        if (options->shell == NULL) {
            options->shell = arg;
            return 0;
        }
        if (strcmp(options->shell, "next") != 0) {
            argp_error(state, "one argument too many: '%s'", arg);
        }
        options->words = state->argv + state->next - 1;
        options->word_count = state->argc - state->next + 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        if (options->shell == NULL) {
            argp_error(state, "the shell is missing; it is bash, zsh or fish");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cli_completion(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .parser = completion_option,
        .args_doc = "bash|zsh|fish|next [WORD...]",
        .doc = "Print what makes a shell complete the words of tusk.\v"
               "With bash: source <(tusk completion bash). The lines printed ask `tusk completion "
               "next -- WORD...` what may stand in place of the last WORD.",
        .children = cli_children};
    struct completion_options options = {.cli = cli};
    size_t i;

    cli_parse(&argp, argc, argv, &options);
    if (strcmp(options.shell, "next") == 0) {
        cli->completing = true;
        if (options.word_count == 0) {
            return cli_run(cli, 1, argv);
        }
        /* A place for the name in front, which no command line lacks. */
        return cli_run(cli, options.word_count + 1, options.words - 1);
    }
    for (i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(options.shell, shells[i].name) == 0) {
            (void)fputs(shells[i].script, stdout);
            return CLI_DONE;
        }
    }
    cli_say("there is no completion for '%s'; it is bash, zsh or fish", options.shell);
    return CLI_USAGE;
}
