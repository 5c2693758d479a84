#pragma once
// A StreamHandler that notes what it was told and then does what the test says.

#include "io/net.h"

#include <functional>

namespace brim::io::testing {

struct Recorder : StreamHandler {
    Bytes received;
    int drained = 0;
    int closed = 0;
    Error why;
    std::function<void(ByteView)> then = [](ByteView) {};
    std::function<void()> when_drained = [] {};
    std::function<void()> when_closed = [] {};

    void on_data(ByteView bytes) override {
        received.append(bytes);
        then(bytes);
    }

    void on_drained() override {
        ++drained;
        when_drained();
    }

    void on_closed(const Error& error) override {
        ++closed;
        why = error;
        when_closed();
    }
};

inline Bytes pattern(std::size_t size) {
    Bytes bytes(size, '\0');
    std::uint32_t state = 1;
    for (char& c : bytes) {
        state = state * 1'664'525 + 1'013'904'223;
        c = static_cast<char>(state >> 24);
    }
    return bytes;
}

} // namespace brim::io::testing
