/* The words of a line of `tusk shell`, as sh divides and quotes them:
 *
 *     'text'   as it is          \c   that character
 *     "text"   the same, but \" \\ \$ and \` stand for the character behind the backslash
 *     # text   a comment, where a word could begin
 *
 * Nothing is expanded. What sh would do something else with, | & ; < and >, is refused where it is
 * not quoted, because whoever types it wants what this shell does not do. */
#ifndef CLIENT_SHELL_WORDS_H
#define CLIENT_SHELL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define SHELL_LINE_MAX (16u * 1024 * 1024) /* Bytes of a line; larger entries come from files */
#define SHELL_FAULT_SIZE 128u

struct shell_words {
    char **words; /* Owned; NULL stands behind the last */
    size_t count;
    char *bytes; /* Owned; what the words point to */
};

/* The words of line[0, size). 0, or -1 with a sentence in fault that says what is wrong, and in
 * which column; then there is nothing to free. */
int shell_words_split(struct shell_words *words, const char *line, size_t size,
                      char fault[SHELL_FAULT_SIZE]);

/* A word that is being typed. */
struct shell_typed {
    size_t at;  /* Byte of the line where it begins */
    char quote; /* The quote that it begins with, or 0 */
};

/* The same of a line that is not finished: its last word is the one that is being typed, perhaps
 * an empty one, and needs no end. False: nothing can be completed here, such as in a comment;
 * then there is nothing to free. */
bool shell_words_split_typed(struct shell_words *words, const char *line, size_t size,
                             struct shell_typed *typed);

void shell_words_free(struct shell_words *words);

/* text as it is typed behind that quote (which the result begins with, and which is left open), or
 * with backslashes where quote is 0. To be freed by the caller; NULL: out of memory. */
char *shell_words_quote(const char *text, char quote);

#endif
