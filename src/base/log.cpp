#include "base/log.h"

#include "base/internal/log_line.h"

#include <cerrno>
#include <functional>
#include <map>
#include <unistd.h>
#include <vector>

namespace brim {

namespace {

constexpr Duration log_window = 1s;
constexpr Duration log_sweep_interval = 10s;
/// Message texts are constants, so this is never reached unless one is built from outside data.
constexpr std::size_t log_texts_max = 1'024;

void write_line(int fd, const std::string& line) {
    // One write(2) for one line. A log that cannot be written has nobody to tell: the line is dropped.
    ssize_t written = -1;
    do {
        written = ::write(fd, line.data(), line.size());
    } while (written < 0 && errno == EINTR);
}

} // namespace

struct Log::Limiter {
    struct Window {
        Mono start{};
        unsigned lines = 0;
        std::uint64_t suppressed = 0;
    };

    struct Leftover {
        std::string message;
        std::uint64_t suppressed = 0;
    };

    struct Verdict {
        bool pass = false;
        std::uint64_t suppressed = 0;         ///< of the same message, to be told in this line
        std::vector<Leftover> leftovers = {}; ///< of messages that have fallen silent
    };

    Verdict ask(std::string_view message, Mono now, unsigned lines_max) {
        Verdict verdict;
        if (now - swept >= log_sweep_interval || windows.size() >= log_texts_max)
            sweep(now, verdict.leftovers);
        auto found = windows.find(message);
        if (found == windows.end()) {
            if (windows.size() >= log_texts_max)
                windows.clear();
            found = windows.emplace(message, Window{.start = now}).first;
        }
        Window& window = found->second;
        if (now - window.start >= log_window) {
            window.start = now;
            window.lines = 0;
        }
        if (window.lines < lines_max) {
            ++window.lines;
            verdict.pass = true;
            verdict.suppressed = std::exchange(window.suppressed, 0);
        } else {
            ++window.suppressed;
        }
        return verdict;
    }

    /// Forgets the messages whose window is over and hands out what they still owe.
    void sweep(Mono now, std::vector<Leftover>& leftovers) {
        swept = now;
        for (auto it = windows.begin(); it != windows.end();) {
            if (now - it->second.start < log_window) {
                ++it;
                continue;
            }
            if (it->second.suppressed > 0)
                leftovers.push_back({it->first, it->second.suppressed});
            it = windows.erase(it);
        }
    }

    std::map<std::string, Window, std::less<>> windows;
    Mono swept{};
};

Log::Log(const Clock& clock) : Log(clock, Options{}) {}

Log::Log(const Clock& clock, Options options)
    : clock_(clock), options_(options), level_(options.level), limiter_(std::make_unique<Limiter>()) {
    limiter_->swept = clock.mono();
}

Log::~Log() {
    for (const auto& [message, window] : limiter_->windows) {
        if (window.suppressed == 0)
            continue;
        write_line(
            options_.fd,
            log_line(
                options_.format,
                clock_.wall(),
                LogLevel::warn,
                "log",
                log_suppressed_text,
                {},
                message,
                window.suppressed
            )
        );
    }
}

void Log::write(
    LogLevel level,
    std::string_view component,
    std::string_view message,
    std::initializer_list<LogField> fields
) {
    if (level < level_.load(std::memory_order_relaxed))
        return;
    const Mono now = clock_.mono();
    Limiter::Verdict verdict;
    {
        const std::lock_guard lock(mutex_);
        verdict = limiter_->ask(message, now, options_.lines_per_second_max);
    }
    const WallTime wall = clock_.wall();
    for (const auto& leftover : verdict.leftovers) {
        write_line(
            options_.fd,
            log_line(
                options_.format,
                wall,
                LogLevel::warn,
                "log",
                log_suppressed_text,
                {},
                leftover.message,
                leftover.suppressed
            )
        );
    }
    if (!verdict.pass)
        return;
    write_line(
        options_.fd,
        log_line(options_.format, wall, level, component, message, fields, {}, verdict.suppressed)
    );
}

void Log::debug(
    std::string_view component, std::string_view message, std::initializer_list<LogField> fields
) {
    write(LogLevel::debug, component, message, fields);
}

void Log::info(std::string_view component, std::string_view message, std::initializer_list<LogField> fields) {
    write(LogLevel::info, component, message, fields);
}

void Log::warn(std::string_view component, std::string_view message, std::initializer_list<LogField> fields) {
    write(LogLevel::warn, component, message, fields);
}

void Log::error(
    std::string_view component, std::string_view message, std::initializer_list<LogField> fields
) {
    write(LogLevel::error, component, message, fields);
}

} // namespace brim
