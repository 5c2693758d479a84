#pragma once
// Host names to addresses without blocking the loop: getaddrinfo on short-lived threads.

#include "io/internal/address.h"
#include "io/loop.h"

#include <deque>
#include <memory>
#include <unordered_map>

namespace brim::io {

/// Loop thread only. The threads are detached, because getaddrinfo cannot be interrupted and a shutdown
/// should not wait for a dead DNS server; they reach the loop only through the shared state, which the
/// destructor closes.
class Resolver {
public:
    static constexpr unsigned threads_max = 4;
    static constexpr std::size_t waiting_max = 1'024;
    using Done = std::move_only_function<void(Result<std::vector<SocketAddress>>)>;

    explicit Resolver(Loop& loop);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    /// `done` runs on the loop, never from inside this call. The number cancels it.
    std::uint64_t resolve(const std::string& host, std::uint16_t port, Done done);
    void cancel(std::uint64_t id);

private:
    struct Shared;

    struct Question {
        std::uint64_t id;
        std::string host;
        std::uint16_t port;
    };

    void ask(Question question);
    void answered(std::uint64_t id, Result<std::vector<SocketAddress>> answer);
    void answer_later(std::uint64_t id, Result<std::vector<SocketAddress>> answer);

    Loop& loop_;
    /// Shared with the threads under way, which may outlive this object.
    std::shared_ptr<Shared> shared_;
    std::unordered_map<std::uint64_t, Done> waiting_;
    std::deque<Question> queue_;
    std::uint64_t last_id_ = 0;
    unsigned threads_ = 0;
};

} // namespace brim::io
