#include "edge/applied.h"

#include "base/hash.h"

#include <charconv>

namespace brim::edge {

namespace {

constexpr std::string_view title = "brim-edge applied configuration ";
constexpr unsigned format = 1;
constexpr std::size_t line_bytes_max = 80;
constexpr std::size_t end_bytes = 13; // "end 01234567\n"

std::string crc_text(ByteView bytes) {
    Bytes sum;
    put_u32(sum, crc32c(bytes));
    return to_hex(sum);
}

std::unexpected<Error> corrupt(std::string cause) {
    return fail(
        Errc::corrupt, "applied configuration", std::move(cause), "correct the files and apply again"
    );
}

template <class Number> std::optional<Number> number_of(std::string_view text) {
    Number number = 0;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || wrong != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return number;
}

/// Takes a line "`word` value" off the front; nothing when it is another.
std::optional<std::string_view> take_line(ByteView& bytes, std::string_view word) {
    const std::size_t end = bytes.substr(0, line_bytes_max).find('\n');
    if (end == ByteView::npos || !bytes.starts_with(word))
        return std::nullopt;
    const std::string_view value = bytes.substr(word.size(), end - word.size());
    bytes.remove_prefix(end + 1);
    return value;
}

/// The format's number, once its line is known to be whole.
Result<unsigned> take_title(ByteView& bytes) {
    const ByteView whole = bytes;
    const auto rest = take_line(bytes, title);
    const std::size_t blank = rest ? rest->find(' ') : ByteView::npos;
    if (blank == ByteView::npos)
        return corrupt("its first line is damaged");
    const std::size_t summed = title.size() + blank;
    const auto number = number_of<unsigned>(rest->substr(0, blank));
    if (!number || rest->substr(blank + 1) != crc_text(whole.substr(0, summed)))
        return corrupt("its first line is damaged");
    return *number;
}

} // namespace

Bytes encode_applied(const ConfigTexts& texts, WallTime at) {
    Bytes out(title);
    out += std::to_string(format);
    out += " " + crc_text(out) + "\n";
    const Bytes body = encode_texts(texts);
    out += "revision " + revision_of(body) + "\n";
    out += "applied " + std::to_string(at.ms) + "\n";
    out += body;
    out += "end " + crc_text(out) + "\n";
    return out;
}

Result<Applied> decode_applied(ByteView bytes) {
    const ByteView whole = bytes;
    const auto number = take_title(bytes);
    if (!number)
        return fail(number.error());
    if (*number > format) {
        return fail(
            Errc::unsupported,
            "applied configuration",
            "format " + std::to_string(*number) + " is newer than this brim-edge reads (" +
                std::to_string(format) + ")",
            "start the newer brim-edge, or move the file away to run on the settings files alone"
        );
    }
    if (*number != format || bytes.size() < end_bytes)
        return corrupt("it ends too early");
    const ByteView summed = whole.substr(0, whole.size() - end_bytes);
    if (whole.substr(summed.size()) != "end " + crc_text(summed) + "\n")
        return corrupt("its checksum is wrong");
    bytes.remove_suffix(end_bytes);
    const auto revision = take_line(bytes, "revision ");
    const auto applied = revision ? take_line(bytes, "applied ") : std::nullopt;
    const auto at = applied ? number_of<std::int64_t>(*applied) : std::nullopt;
    if (!at)
        return corrupt("its head is damaged");
    if (*revision != revision_of(bytes))
        return corrupt("its content is not that of its revision");
    auto texts = decode_texts(bytes);
    if (!texts)
        return fail(texts.error());
    return Applied{std::move(*texts), std::string(*revision), WallTime{*at}};
}

Result<std::optional<Applied>> AppliedFile::read() const {
    if (!disk_.exists(path_))
        return std::optional<Applied>();
    const auto bytes = io::read_file(disk_, path_, bytes_max);
    if (!bytes && bytes.error().code == Errc::too_large)
        return corrupt(bytes.error().cause);
    if (!bytes)
        return fail(bytes.error());
    auto applied = decode_applied(*bytes);
    if (!applied) {
        Error error = applied.error();
        error.object = path_;
        return fail(std::move(error));
    }
    return std::optional(std::move(*applied));
}

Result<std::optional<Applied>> AppliedFile::load() {
    auto applied = read();
    if (applied || applied.error().code != Errc::corrupt)
        return applied;
    std::string aside;
    for (unsigned number = 1; number <= quarantined_max; ++number) {
        aside = path_ + ".quarantine-" + std::to_string(number);
        if (!disk_.exists(aside))
            break;
    }
    Error error = applied.error();
    const auto moved = disk_.rename(path_, aside);
    error.cause += moved ? "; set aside as " + aside : "; it cannot be set aside: " + moved.error().cause;
    return fail(std::move(error));
}

Result<void> AppliedFile::save(const ConfigTexts& texts, WallTime at) {
    return io::write_file_atomically(disk_, path_, encode_applied(texts, at));
}

} // namespace brim::edge
