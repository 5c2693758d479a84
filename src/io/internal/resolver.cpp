#include "io/internal/resolver.h"

#include <mutex>
#include <system_error>
#include <thread>

namespace brim::io {

/// The mutex guards `owner` and the post on its loop: held while posting, so that the loop cannot end
/// meanwhile.
struct Resolver::Shared {
    std::mutex mutex;
    Resolver* owner = nullptr; ///< null once the resolver is gone
};

Resolver::Resolver(Loop& loop) : loop_(loop), shared_(std::make_shared<Shared>()) {
    shared_->owner = this;
}

Resolver::~Resolver() {
    const std::lock_guard lock(shared_->mutex);
    shared_->owner = nullptr;
}

std::uint64_t Resolver::resolve(const std::string& host, std::uint16_t port, Done done) {
    const std::uint64_t id = ++last_id_;
    waiting_.emplace(id, std::move(done));
    if (auto numeric = numeric_address(host, port); !numeric.empty()) {
        answer_later(id, std::move(numeric));
    } else if (threads_ < threads_max) {
        ask({id, host, port});
    } else if (queue_.size() < waiting_max) {
        queue_.push_back({id, host, port});
    } else {
        answer_later(
            id,
            fail(
                Errc::busy,
                "host \"" + host + "\"",
                std::to_string(waiting_max) + " names are waiting for the DNS server already",
                "check that the DNS server answers"
            )
        );
    }
    return id;
}

void Resolver::cancel(std::uint64_t id) {
    waiting_.erase(id);
    std::erase_if(queue_, [id](const Question& question) { return question.id == id; });
}

void Resolver::answer_later(std::uint64_t id, Result<std::vector<SocketAddress>> answer) {
    // Through the shared state: the post may outlive this object.
    loop_.post([shared = shared_, id, answer = std::move(answer)]() mutable {
        if (shared->owner == nullptr)
            return;
        auto found = shared->owner->waiting_.find(id);
        if (found == shared->owner->waiting_.end())
            return;
        Done done = std::move(found->second);
        shared->owner->waiting_.erase(found);
        done(std::move(answer));
    });
}

void Resolver::ask(Question question) {
    ++threads_;
    const std::uint64_t id = question.id;
    try {
        std::thread([shared = shared_, question = std::move(question)] {
            auto answer = resolve_blocking(question.host, question.port);
            const std::lock_guard lock(shared->mutex);
            if (shared->owner == nullptr)
                return;
            shared->owner->loop_.post([shared, id = question.id, answer = std::move(answer)]() mutable {
                if (shared->owner != nullptr)
                    shared->owner->answered(id, std::move(answer));
            });
        }).detach();
    } catch (const std::system_error& error) {
        --threads_;
        answer_later(
            id,
            fail(Errc::busy, "name resolution", std::string("no thread could be started: ") + error.what())
        );
    }
}

void Resolver::answered(std::uint64_t id, Result<std::vector<SocketAddress>> answer) {
    --threads_;
    if (!queue_.empty()) {
        Question next = std::move(queue_.front());
        queue_.pop_front();
        ask(std::move(next));
    }
    const auto found = waiting_.find(id);
    if (found == waiting_.end())
        return;
    Done done = std::move(found->second);
    waiting_.erase(found);
    done(std::move(answer)); // may destroy this resolver
}

} // namespace brim::io
