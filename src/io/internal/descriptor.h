#pragma once
// One open file descriptor with one owner.

#include <unistd.h>
#include <utility>

namespace brim::io {

class Descriptor {
public:
    Descriptor() = default;

    explicit Descriptor(int fd) noexcept : fd_(fd) {}

    ~Descriptor() { reset(); }

    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

    Descriptor& operator=(Descriptor&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }

    int value() const noexcept { return fd_; }

    explicit operator bool() const noexcept { return fd_ >= 0; }

    void reset() noexcept {
        // EINTR is not retried: Linux has released the number by then, and it may be somebody else's already.
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = -1;
    }

private:
    int fd_ = -1;
};

} // namespace brim::io
