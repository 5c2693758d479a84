// Which text SASLprep would not change.

#include "broker/scram.h"

#include <algorithm>
#include <iterator>

namespace brim::broker {

namespace {

struct Range {
    char32_t first;
    char32_t last;
};

// Assigned in Unicode 3.2, NFKC alone and beside any other of the table, none of RFC 3454's tables A.1, B.1,
// C.1.2 to C.9 and D.1. In order.
constexpr Range ranges[] = {
    {0x20, 0x7E},     {0xA1, 0xA7},     {0xA9, 0xA9},       {0xAB, 0xAC},     {0xAE, 0xAE},
    {0xB0, 0xB1},     {0xB6, 0xB7},     {0xBB, 0xBB},       {0xBF, 0x131},    {0x134, 0x13E},
    {0x141, 0x148},   {0x14A, 0x17E},   {0x180, 0x1C3},     {0x1CD, 0x1F0},   {0x1F4, 0x220},
    {0x222, 0x233},   {0x386, 0x386},   {0x388, 0x38A},     {0x38C, 0x38C},   {0x38E, 0x3A1},
    {0x3A3, 0x3CE},   {0x400, 0x482},   {0x48A, 0x4CE},     {0x4D0, 0x4F5},   {0x4F8, 0x4F9},
    {0x531, 0x556},   {0x559, 0x55F},   {0x561, 0x586},     {0x589, 0x58A},   {0x10D0, 0x10F8},
    {0x10FB, 0x10FB}, {0x1E00, 0x1E99}, {0x1EA0, 0x1EF9},   {0x2010, 0x2010}, {0x2012, 0x2016},
    {0x2018, 0x2023}, {0x2030, 0x2032}, {0x20A0, 0x20A7},   {0x20A9, 0x20B1}, {0x3001, 0x3029},
    {0x3041, 0x3096}, {0x309D, 0x309E}, {0x30A0, 0x30FE},   {0x3105, 0x312C}, {0x3400, 0x4DB5},
    {0x4E00, 0x9FA5}, {0xAC00, 0xD7A3}, {0x20000, 0x2A6D6},
};

bool is_in_table(char32_t character) {
    const auto* found = std::ranges::upper_bound(ranges, character, {}, &Range::first);
    return found != std::begin(ranges) && character <= std::prev(found)->last;
}

/// The next character of well-formed UTF-8.
char32_t take_character(std::string_view& text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t count = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char32_t character = count == 1 ? lead : lead & (0xFFu >> (count + 1));
    for (std::size_t i = 1; i < count; ++i)
        character = character << 6 | (static_cast<unsigned char>(text[i]) & 0x3Fu);
    text.remove_prefix(count);
    return character;
}

} // namespace

bool is_prepared(std::string_view text) noexcept {
    if (text.empty() || !is_utf8(text))
        return false;
    while (!text.empty()) {
        if (!is_in_table(take_character(text)))
            return false;
    }
    return true;
}

} // namespace brim::broker
