#include "base/internal/json_scan.h"

#include "base/internal/utf8.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace brim {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

class JsonScanner {
public:
    JsonScanner(std::string_view text, std::size_t depth_max) : text_(text), depth_max_(depth_max) {}

    JsonScan run() {
        skip_space();
        Want want = Want::value;
        while (!scan_.fault && want != Want::end)
            want = step(want);
        if (!scan_.fault && at_ < text_.size())
            fault(at_, "text after the end of the document");
        return std::move(scan_);
    }

private:
    enum class Want : std::uint8_t { value, value_or_close, name, name_or_close, comma_or_close, end };

    Want step(Want want) {
        if (at_ >= text_.size())
            return fault(at_, "the text ends too early");
        const char c = text_[at_];
        switch (want) {
        case Want::value_or_close:
            if (c == ']')
                return close();
            return value();
        case Want::value:
            return value();
        case Want::name_or_close:
            if (c == '}')
                return close();
            return name();
        case Want::name:
            return name();
        case Want::comma_or_close:
            if (c == (open_.back() == '{' ? '}' : ']'))
                return close();
            if (c != ',')
                return fault(at_, "a comma or the closing bracket should be here");
            ++at_;
            skip_space();
            return open_.back() == '{' ? Want::name : Want::value;
        case Want::end:
            break;
        }
        return Want::end;
    }

    Want value() {
        const char c = text_[at_];
        if (c == '{' || c == '[') {
            if (open_.size() >= depth_max_)
                return too_deep();
            open_.push_back(c);
            ++at_;
            skip_space();
            return c == '{' ? Want::name_or_close : Want::value_or_close;
        }
        if (c == '"') {
            string();
        } else if (c == '-' || is_digit(c)) {
            number();
        } else if (!literal("true") && !literal("false") && !literal("null")) {
            return fault(at_, "a value should be here");
        }
        return after_value();
    }

    Want name() {
        if (text_[at_] != '"')
            return fault(at_, "a member name in quotes should be here");
        string();
        skip_space();
        if (scan_.fault)
            return Want::end;
        if (at_ >= text_.size() || text_[at_] != ':')
            return fault(at_, "a colon should be here");
        ++at_;
        skip_space();
        return Want::value;
    }

    Want close() {
        open_.pop_back();
        ++at_;
        return after_value();
    }

    Want after_value() {
        skip_space();
        return open_.empty() ? Want::end : Want::comma_or_close;
    }

    void skip_space() {
        while (at_ < text_.size() && std::string_view(" \t\r\n").contains(text_[at_]))
            ++at_;
    }

    bool literal(std::string_view word) {
        if (!text_.substr(at_).starts_with(word))
            return false;
        at_ += word.size();
        return true;
    }

    void string() {
        const std::size_t start = at_++;
        while (at_ < text_.size() && !scan_.fault) {
            const char c = text_[at_];
            if (c == '"') {
                ++at_;
                return;
            }
            if (c == '\\') {
                escape();
                continue;
            }
            const Utf8Step step = utf8_step(text_, at_);
            if (!step.valid) {
                fault(at_, "invalid UTF-8");
            } else if (step.code < 0x20) {
                fault(at_, "a control character inside a string must be escaped");
            }
            at_ += step.size;
        }
        if (!scan_.fault)
            fault(start, "a string without its closing quote");
    }

    void escape() {
        const std::size_t start = at_++;
        const char c = at_ < text_.size() ? text_[at_++] : '\0';
        if (c == 'u') {
            const int first = four_hex();
            const bool high = first >= 0xD800 && first <= 0xDBFF;
            if (first < 0 || (first >= 0xDC00 && first <= 0xDFFF)) {
                fault(start, "a wrong \\u escape");
            } else if (high) {
                const int second = literal("\\u") ? four_hex() : -1;
                if (second < 0xDC00 || second > 0xDFFF)
                    fault(start, "half a surrogate pair");
            }
        } else if (c == '\0' || !std::string_view("\"\\/bfnrt").contains(c)) {
            fault(start, "an unknown escape");
        }
    }

    int four_hex() {
        int value = -1;
        const std::string_view digits = text_.substr(at_, 4);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
        // from_chars takes a minus sign, JSON does not
        if (error != std::errc{} || end != digits.data() + 4 || digits[0] == '-')
            return -1;
        at_ += 4;
        return value;
    }

    bool digits() {
        const std::size_t start = at_;
        while (at_ < text_.size() && is_digit(text_[at_]))
            ++at_;
        return at_ > start;
    }

    void number() {
        const std::size_t start = at_;
        if (text_[at_] == '-')
            ++at_;
        const std::size_t first_digit = at_;
        if (!digits() || (text_[first_digit] == '0' && at_ > first_digit + 1)) {
            fault(start, "a number with a leading zero or without digits");
            return;
        }
        bool integer = true;
        if (literal(".")) {
            integer = false;
            if (!digits())
                fault(at_, "a digit should follow the decimal point");
        }
        if (literal("e") || literal("E")) {
            integer = false;
            if (!literal("+"))
                literal("-");
            if (!digits())
                fault(at_, "a digit should be in the exponent");
        }
        if (!scan_.fault)
            range(text_.substr(start, at_ - start), start, integer);
    }

    void range(std::string_view token, std::size_t start, bool integer) {
        std::int64_t fits = 0;
        const char* end = token.data() + token.size();
        if (integer && std::from_chars(token.data(), end, fits).ec == std::errc{})
            return;
        if (integer)
            scan_.large_int_ends.push_back(at_);
        // strtod, since from_chars does not tell too large from too small; no program of ours sets a locale.
        if (std::isinf(std::strtod(std::string(token).c_str(), nullptr)))
            fault(start, "a number too large for a double");
    }

    Want too_deep() {
        fault(at_, "nested too deeply");
        scan_.fault->too_deep = true;
        return Want::end;
    }

    Want fault(std::size_t offset, std::string_view cause) {
        if (!scan_.fault)
            scan_.fault = JsonFault{offset, cause};
        return Want::end;
    }

    std::string_view text_;
    std::size_t depth_max_;
    std::size_t at_ = 0;
    std::string open_; ///< the open brackets
    JsonScan scan_;
};

} // namespace

JsonScan json_scan(std::string_view text, std::size_t depth_max) {
    return JsonScanner(text, depth_max).run();
}

} // namespace brim
