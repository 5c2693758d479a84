#include "channel.h"

#include "brim/driver.h"

#include <algorithm>
#include <chrono>

namespace brim::modbus {

namespace {

std::int64_t mono_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

constexpr int exception_gateway_path = 10;
constexpr int exception_gateway_target = 11;

/// A gateway that answers for a missing slave: the slave itself said nothing.
bool says_nothing(const Answer& answer) {
    return answer.failure != Failure::exception || answer.exception == exception_gateway_path ||
           answer.exception == exception_gateway_target;
}

} // namespace

Channel::Channel(ChannelSettings settings, Sink& sink, Log& log)
    : settings_(std::move(settings)), sink_(sink), log_(log), port_(settings_) {
    const std::int64_t now = mono_ms();
    for (const DeviceSettings& device : settings_.devices)
        polls_.emplace_back(device, settings_.reads, now);
    thread_ = std::thread([this] { run(); });
}

Channel::~Channel() {
    {
        const std::lock_guard guard(lock_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
    for (Command& command : commands_)
        command.done(BRIM_E_UNREACHABLE, {});
}

bool Channel::post(Command command) {
    {
        const std::lock_guard guard(lock_);
        if (commands_.size() >= commands_max)
            return false;
        commands_.push_back(std::move(command));
    }
    wake_.notify_all();
    return true;
}

/// The device whose cycle has been due longest, or how long to wait for one.
std::optional<std::size_t> Channel::due_device(std::int64_t now_ms, std::int64_t& wait_ms) const {
    std::optional<std::size_t> found;
    std::int64_t earliest = now_ms + wait_ms;
    for (std::size_t index = 0; index < polls_.size(); ++index) {
        const auto group = polls_[index].next_group();
        if (!group)
            continue;
        const std::int64_t due = polls_[index].groups[*group].due_ms;
        if (due < earliest) {
            earliest = due;
            if (due <= now_ms)
                found = index;
        }
    }
    wait_ms = std::max<std::int64_t>(0, earliest - now_ms);
    return found;
}

void Channel::run() {
    for (;;) {
        Command command;
        std::optional<std::size_t> device;
        {
            std::unique_lock guard(lock_);
            std::int64_t wait_ms = 60'000;
            device = due_device(mono_ms(), wait_ms);
            const auto something = [this] { return stopping_ || !commands_.empty(); };
            if (!device)
                wake_.wait_for(guard, std::chrono::milliseconds(wait_ms), something);
            if (stopping_)
                return;
            if (!commands_.empty()) {
                command = std::move(commands_.front());
                commands_.pop_front();
            }
        }
        // A command goes first: somebody waits for it; one cycle follows so that commands cannot starve the
        // polling.
        if (command.done)
            run_command(command);
        if (device)
            run_cycle(*device, *polls_[*device].next_group());
    }
}

Answer Channel::read_once(std::size_t device, const Read& read, std::vector<std::uint16_t>& data) {
    // A missing slave costs the others no more than one timeout a cycle.
    const unsigned attempts = polls_[device].health.online() ? settings_.retries + 1 : 1;
    Answer answer;
    for (unsigned attempt = 0; attempt < attempts; ++attempt) {
        answer = port_.open(mono_ms());
        if (!answer)
            return answer;
        answer = port_.read(settings_.devices[device].slave, read, data);
        if (answer.failure != Failure::timeout)
            return answer;
    }
    return answer;
}

bool Channel::read_all(std::size_t device, std::vector<Read>& reads, std::vector<PointValue>& values) {
    std::vector<std::uint16_t> data;
    for (std::size_t index = 0; index < reads.size(); ++index) {
        const Answer answer = read_once(device, reads[index], data);
        if (answer) {
            polls_[device].collect(reads[index], data, values);
        } else if (says_nothing(answer)) {
            last_failure_ = answer.text;
            return false;
        } else if (reads[index].points.size() > 1) {
            // Neighbours on paper that the slave does not serve together: from now on each for itself.
            const auto singles = split(settings_.devices[device].points, reads[index]);
            const auto at = reads.erase(reads.begin() + static_cast<std::ptrdiff_t>(index));
            reads.insert(at, singles.begin(), singles.end());
            --index;
        } else {
            note_exception(device, reads[index], answer);
        }
    }
    std::ranges::sort(values, {}, &PointValue::point); // as the configuration lists them
    return true;
}

void Channel::run_cycle(std::size_t device, std::size_t group) {
    DevicePoll& poll = polls_[device];
    std::vector<PointValue> values;
    const std::int64_t time = brim_now_ms();
    const bool answered = read_all(device, poll.groups[group].reads, values);
    note_health(device, answered || !values.empty(), last_failure_);
    poll.filter_unchanged(values);
    if (!values.empty())
        sink_.report(settings_.devices[device], values, time);
    poll.cycle_ended(group, mono_ms(), settings_.timeout_ms);
}

void Channel::run_command(Command& command) {
    const DeviceSettings& device = settings_.devices[command.device];
    int code = BRIM_OK;
    for (const Write& write : command.writes) {
        Answer answer = port_.open(mono_ms());
        if (answer)
            answer = port_.write(device.slave, write);
        if (answer)
            continue;
        log_.warn(
            "modbus",
            "write refused",
            {{"device", device.device_name}, {"address", write.address}, {"cause", answer.text}}
        );
        code = says_nothing(answer) ? BRIM_E_TIMEOUT : answer.exception == 6 ? 429 : 400;
        break;
    }
    std::vector<PointValue> values;
    if (code == BRIM_OK && !command.reads.empty()) {
        auto reads = plan(device.points, command.reads, settings_.reads);
        const std::int64_t time = brim_now_ms();
        if (!read_all(command.device, reads, values))
            code = BRIM_E_TIMEOUT;
        if (!values.empty())
            sink_.report(device, values, time);
    }
    command.done(code, values);
}

void Channel::note_exception(std::size_t device, const Read& read, const Answer& answer) {
    const DeviceSettings& settings = settings_.devices[device];
    if (!polls_[device].refused(read.points.front(), answer.exception))
        return;
    log_.warn(
        "modbus",
        "slave refuses a point",
        {{"device", settings.device_name},
         {"slave", settings.slave},
         {"property", settings.points[read.points.front()].identifier},
         {"address", read.address},
         {"exception", answer.exception},
         {"meaning", answer.text}}
    );
}

void Channel::note_health(std::size_t device, bool answered, const std::string& cause) {
    const DeviceSettings& settings = settings_.devices[device];
    Health& health = polls_[device].health;
    if (answered) {
        if (!health.answered())
            return;
        log_.info("modbus", "device answers", {{"device", settings.device_name}, {"channel", settings_.id}});
        polls_[device].forget();
        sink_.state(settings, true);
    } else if (health.failed()) {
        log_.warn(
            "modbus",
            "device does not answer",
            {{"device", settings.device_name},
             {"channel", settings_.id},
             {"slave", settings.slave},
             {"cause", cause}}
        );
        sink_.state(settings, false);
    } else {
        log_.debug("modbus", "cycle failed", {{"device", settings.device_name}, {"cause", cause}});
    }
}

} // namespace brim::modbus
