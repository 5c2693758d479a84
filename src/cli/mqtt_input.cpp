#include "cli/mqtt_input.h"

#include "cli/mqtt_options.h"

#include <array>
#include <cerrno>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace brim::cli {

namespace {

constexpr std::size_t waiting_bytes_max = 1'048'576;
constexpr std::size_t block_bytes = 65'536;
/// How long the end of the program may have to wait for a silent terminal.
constexpr int silence_ms_max = 100;

} // namespace

MqttInput::MqttInput(io::Env& env, bool lines) : lines_(lines), worker_(env.make_worker("stdin")) {}

void MqttInput::start() {
    if (!reading_ && !at_end_ && !failure_)
        read_more();
}

void MqttInput::read_more() {
    reading_ = true;
    // Shared by the job and its end, which run one after the other.
    auto read = std::make_shared<Read>();
    worker_->run(
        [read] {
            pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
            if (poll(&input, 1, silence_ms_max) == 0)
                return;
            std::array<char, block_bytes> block;
            const ssize_t count = ::read(STDIN_FILENO, block.data(), block.size());
            if (count < 0 && errno != EINTR && errno != EAGAIN)
                read->error = errno;
            read->at_end = count == 0;
            if (count > 0)
                read->bytes.assign(block.data(), static_cast<std::size_t>(count));
        },
        [this, read] { came(*read); }
    );
}

void MqttInput::came(Read& read) {
    reading_ = false;
    partial_.append(read.bytes);
    std::size_t begin = 0;
    for (std::size_t end = 0; lines_ && (end = partial_.find('\n', begin)) != Bytes::npos; begin = end + 1) {
        ready_.push_back(partial_.substr(begin, end - begin));
        ready_bytes_ += end - begin + 1;
    }
    partial_.erase(0, begin);
    if (read.error != 0) {
        failure_ = errno_error("standard input", read.error);
    } else if (partial_.size() > MqttLimits::payload_bytes_max) {
        failure_ = Error{
            Errc::too_large, "standard input", "a message has at most 64 MiB", "split it, or use -l for lines"
        };
    } else if (read.at_end) {
        at_end_ = true;
        if (!lines_ || !partial_.empty())
            ready_.push_back(std::exchange(partial_, {}));
    } else if (ready_bytes_ <= waiting_bytes_max) {
        read_more();
    }
    if (more_)
        more_();
}

std::optional<Bytes> MqttInput::take() {
    if (ready_.empty())
        return std::nullopt;
    Bytes next = std::move(ready_.front());
    ready_.pop_front();
    ready_bytes_ -= std::min(ready_bytes_, next.size() + 1);
    if (ready_bytes_ <= waiting_bytes_max)
        start();
    return next;
}

} // namespace brim::cli
