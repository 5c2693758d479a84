#pragma once
// Answers to requests that carry an Idempotency-Key: the same key with the same body gets the same answer,
// also after a restart, and the work is done once. Loop thread only.
//
// A key is written down before the work begins and its answer before it is sent. What is stored of an answer
// can only be read with the key, of which the hub keeps a digest: an answer may hold a token that is shown
// once.

#include "hub/meta_db.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace brim::hub {

struct AnswerLimits {
    std::size_t keys_max = 10'000;            ///< above it the oldest answer is forgotten before its time
    std::size_t bytes_max = 16 * 1024 * 1024; ///< of all answers; the same
    std::chrono::milliseconds lifetime{86'400'000};
    std::size_t key_bytes_min = 16;
    std::size_t key_bytes_max = 128;
};

class AnswerBook {
public:
    struct Answer {
        int status = 0;
        std::string type; ///< Content-Type
        std::string body;
    };

    enum class State : std::uint8_t {
        fresh,    ///< do the work, then call finish() or release()
        answered, ///< here it is
        running,  ///< the first request with this key is not finished yet
        unknown,  ///< it was cut short by a restart: nobody knows how far it came
        other,    ///< the key was used for another body
    };

    struct Found {
        State state = State::fresh;
        Answer answer;
        std::string id; ///< for finish() and release()
    };

    static Result<std::unique_ptr<AnswerBook>> open(io::Env& env, MetaDb& db, AnswerLimits limits = {});

    /// `scope` is who asks for what. Errc::invalid for a key that is not 16 to 128 visible ASCII characters,
    /// Errc::busy when keys_max requests are running. `fresh` comes after the key is durable.
    void begin(
        std::string_view scope,
        std::string_view key,
        std::string_view body,
        std::move_only_function<void(Result<Found>)> done
    );
    /// `done` comes when the answer is durable, or cannot be (then the key stays `unknown` after a restart).
    void
    finish(const std::string& id, std::string_view key, const Answer& answer, std::function<void()> done);
    /// Nothing was done: the key may be used again.
    void release(const std::string& id, std::function<void()> done);

    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        std::string body_digest;
        State state = State::running; ///< running, answered or unknown
        int status = 0;
        std::string sealed; ///< type, NUL and body; needs the key to be read
        std::int64_t created_ms = 0;
        std::uint64_t order = 0;
    };

    AnswerBook(io::Env& env, MetaDb& db, AnswerLimits limits) : env_(env), db_(db), limits_(limits) {}

    Result<void> load();
    void add(const std::string& id, Entry entry);
    void forget(const std::string& id);
    /// Ids of what is past its time or over a limit; forgotten already.
    std::vector<std::string> make_room();

    io::Env& env_;
    MetaDb& db_;
    AnswerLimits limits_;
    std::map<std::string, Entry> entries_;          ///< by id
    std::map<std::uint64_t, std::string> by_order_; ///< oldest first
    std::uint64_t next_order_ = 0;
    std::size_t bytes_ = 0;
};

} // namespace brim::hub
