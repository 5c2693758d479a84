#pragma once
// Structured logging: one line, named fields, and a Secret type that no formatter accepts.

#include "base/time.h"

#include <atomic>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace brim {

/// A password, key or token. It cannot be formatted, logged, compared by operator or turned into JSON by
/// accident.
class Secret {
public:
    Secret() = default;

    explicit Secret(std::string value) : value_(std::move(value)) {}

    /// The one way out; grep for it in reviews.
    const std::string& reveal() const noexcept { return value_; }

    bool empty() const noexcept { return value_.empty(); }

private:
    std::string value_;
};

enum class LogLevel : std::uint8_t { debug, info, warn, error };

/// name=value of a log line. A Secret does not convert.
struct LogField {
    std::string_view name;
    std::string value;
    bool is_number = false; ///< written without quotes in JSON

    LogField(std::string_view field_name, std::string_view field_value)
        : name(field_name), value(field_value) {}

    LogField(std::string_view field_name, const char* field_value) : name(field_name), value(field_value) {}

    LogField(std::string_view field_name, const std::string& field_value)
        : name(field_name), value(field_value) {}

    template <class Number>
        requires std::is_arithmetic_v<Number>
    LogField(std::string_view field_name, Number number) : name(field_name), value(std::to_string(number)) {
        is_number = std::isfinite(static_cast<double>(number));
    }

    LogField(std::string_view, const Secret&) = delete;
};

enum class LogFormat : std::uint8_t { text, json };

/// Writes lines to one descriptor, at most `lines_per_second_max` of each message text; what was left out is
/// counted in a later line ("suppressed=12"). Thread-safe; a line is one write(2), so lines never interleave.
class Log {
public:
    struct Options {
        int fd = 2;
        LogLevel level = LogLevel::info;
        LogFormat format = LogFormat::text;
        unsigned lines_per_second_max = 20; ///< per message text
    };

    explicit Log(const Clock& clock); ///< default options
    Log(const Clock& clock, Options options);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    /// `component` is the module ("uplink"), `message` a constant sentence; variable parts go into fields.
    void write(
        LogLevel level,
        std::string_view component,
        std::string_view message,
        std::initializer_list<LogField> fields = {}
    );
    void
    debug(std::string_view component, std::string_view message, std::initializer_list<LogField> fields = {});
    void
    info(std::string_view component, std::string_view message, std::initializer_list<LogField> fields = {});
    void
    warn(std::string_view component, std::string_view message, std::initializer_list<LogField> fields = {});
    void
    error(std::string_view component, std::string_view message, std::initializer_list<LogField> fields = {});

    void set_level(LogLevel level) noexcept { level_ = level; }

private:
    struct Limiter;
    const Clock& clock_;
    Options options_;
    std::atomic<LogLevel> level_;
    std::mutex mutex_; ///< guards limiter_ only
    std::unique_ptr<Limiter> limiter_;
};

} // namespace brim
