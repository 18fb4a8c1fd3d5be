/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/spelling.h"

#include <string.h>

/* Typographic characters and their plain spelling, which the answer may use instead. */
static const struct {
    const char *from, *to;
} plain[] = {
    {"\xef\xac\x80", "ff"},  {"\xef\xac\x81", "fi"}, {"\xef\xac\x82", "fl"}, {"\xef\xac\x83", "ffi"},
    {"\xef\xac\x84", "ffl"}, {"\xef\xac\x85", "st"}, {"\xef\xac\x86", "st"}, {"\xc2\xad", ""},
    {"\xe2\x80\x90", "-"},   {"\xe2\x80\x91", "-"},  {"\xe2\x80\x92", "-"},  {"\xe2\x80\x93", "-"},
    {"\xe2\x80\x94", "-"},   {"\xe2\x88\x92", "-"},  {"\xe2\x80\x98", "'"},  {"\xe2\x80\x99", "'"},
    {"\xe2\x80\x9c", "\""},  {"\xe2\x80\x9d", "\""}, {"\xc2\xa0", " "},      {"\xe2\x80\xa6", "..."},
    {"\xe2\x80\x8b", ""},    {"\xe2\x80\xaf", " "},
};

/* Characters that change in every spelling: ligatures and invisible ones are never part of an answer. */
enum { ALWAYS = 8 };

/* Rewrite `from` with the rules that always hold, or with all. Returns the length written, at most `length`.
 */
static int32_t rewrite(char *to, const char *from, int32_t length, bool all)
{
    int32_t n = 0;
    for (int32_t i = 0; i < length;) {
        size_t rule = 0, rules = all ? sizeof plain / sizeof *plain : ALWAYS;
        while (rule < rules) {
            size_t size = strlen(plain[rule].from);
            if ((size_t)(length - i) >= size && memcmp(from + i, plain[rule].from, size) == 0) break;
            rule++;
        }
        if (rule < rules) {
            memcpy(to + n, plain[rule].to, strlen(plain[rule].to));
            n += (int32_t)strlen(plain[rule].to);
            i += (int32_t)strlen(plain[rule].from);
        } else {
            to[n++] = from[i++];
        }
    }
    return n;
}

static dsvl_spelling spelling_of(const char *text, int32_t length)
{
    dsvl_spelling s = {.text = text, .length = length, .close = length};
    while (s.close > 1 && strchr(",.;:!?)\"']", text[s.close - 1])) s.close--;
    while (s.open + 1 < s.close && strchr("(\"'[", text[s.open])) s.open++;
    return s;
}

int dsvl_spell(dsvl_spelling out[DSVL_SPELLINGS], char **room, const char *text, int32_t length,
               bool ends_line)
{
    char *first = *room;
    int count = 0;
    bool soft = ends_line && length > 2 && memcmp(text + length - 2, "\xc2\xad", 2) == 0; /* it is printed */
    int32_t n = rewrite(first, text, length, false);
    if (soft) first[n++] = '-';
    *room += n;
    if (n == 0) return 0;
    out[count++] = spelling_of(first, n);
    char *second = *room;
    int32_t m = rewrite(second, text, length, true);
    if (soft) second[m++] = '-';
    if (m > 0 && (m != n || memcmp(first, second, (size_t)n) != 0)) {
        out[count++] = spelling_of(second, m);
        *room += m;
    } else {
        second = first;
        m = n;
    }
    if (ends_line && m > 1 && second[m - 1] == '-') { /* exam- / ple */
        dsvl_spelling s = spelling_of(second, m - 1);
        s.close = m; /* cannot end here: it goes on in the next line */
        s.joins = true;
        out[count++] = s;
    }
    return count;
}
