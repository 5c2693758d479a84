#include "hub/api/answer_book.h"

#include "base/hash.h"
#include "store/sqlite.h"

#include <algorithm>
#include <vector>

namespace brim::hub {

namespace {

constexpr std::size_t salt_bytes = 16;
constexpr int status_running = 0;

/// XORs `text` with HMAC-SHA-256 of a counter: both ways. Each answer has a salt, so no stream is used twice.
std::string with_stream(std::string_view key, std::string_view salt, std::string_view text) {
    std::string out(text);
    Bytes block;
    for (std::size_t at = 0; at < out.size(); ++at) {
        const std::size_t place = at % 32;
        if (place == 0) {
            Bytes counter(salt);
            put_u64(counter, at / 32);
            block = hmac(Digest::sha256, key, counter);
        }
        out[at] = static_cast<char>(out[at] ^ block[place]);
    }
    return out;
}

AnswerBook::Answer open_answer(int status, std::string_view key, std::string_view sealed) {
    const std::string text = with_stream(key, sealed.substr(0, salt_bytes), sealed.substr(salt_bytes));
    const std::size_t end = std::min(text.find('\0'), text.size());
    return {status, text.substr(0, end), text.substr(std::min(end + 1, text.size()))};
}

Result<void> delete_answers(store::Database& db, const std::vector<std::string>& ids) {
    auto remove = db.prepare("DELETE FROM answer WHERE id = ?1");
    if (!remove)
        return fail(std::move(remove).error());
    for (const std::string& id : ids)
        BRIM_TRY(remove->bind_blob(1, id).run());
    return {};
}

} // namespace

Result<std::unique_ptr<AnswerBook>> AnswerBook::open(io::Env& env, MetaDb& db, AnswerLimits limits) {
    std::unique_ptr<AnswerBook> book(new AnswerBook(env, db, limits));
    BRIM_TRY(book->load());
    return book;
}

Result<void> AnswerBook::load() {
    auto select = db_.at_start().prepare(
        "SELECT id, body_digest, status, sealed, created_ms FROM answer ORDER BY created_ms, id"
    );
    if (!select)
        return fail(std::move(select).error());
    return store::each_row(*select, [this](const store::Statement& row) {
        Entry entry;
        entry.body_digest = row.blob(1);
        entry.status = static_cast<int>(row.integer(2));
        entry.sealed = row.blob(3);
        entry.created_ms = row.integer(4);
        const bool whole = entry.status != status_running && entry.sealed.size() >= salt_bytes;
        entry.state = whole ? State::answered : State::unknown;
        add(std::string(row.blob(0)), std::move(entry));
    });
}

void AnswerBook::add(const std::string& id, Entry entry) {
    entry.order = next_order_++;
    bytes_ += entry.sealed.size();
    by_order_[entry.order] = id;
    entries_[id] = std::move(entry);
}

void AnswerBook::forget(const std::string& id) {
    const auto found = entries_.find(id);
    if (found == entries_.end())
        return;
    bytes_ -= found->second.sealed.size();
    by_order_.erase(found->second.order);
    entries_.erase(found);
}

std::vector<std::string> AnswerBook::make_room() {
    const std::int64_t oldest_ms = env_.loop().clock().wall().ms - limits_.lifetime.count();
    std::vector<std::string> gone;
    for (const auto& [order, id] : by_order_) {
        const Entry& entry = entries_.at(id);
        const bool over = entries_.size() - gone.size() >= limits_.keys_max || bytes_ > limits_.bytes_max;
        if (entry.created_ms > oldest_ms && !over)
            break;
        if (entry.state == State::running)
            continue;
        bytes_ -= entry.sealed.size();
        entries_.at(id).sealed.clear();
        gone.push_back(id);
    }
    for (const std::string& id : gone)
        forget(id);
    return gone;
}

void AnswerBook::begin(
    std::string_view scope,
    std::string_view key,
    std::string_view body,
    std::move_only_function<void(Result<Found>)> done
) {
    const bool visible = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (key.size() < limits_.key_bytes_min || key.size() > limits_.key_bytes_max || !visible) {
        return done(fail(
            Errc::invalid, "Idempotency-Key", "is not 16 to 128 visible ASCII characters", "send a new UUID"
        ));
    }
    const std::string id = digest(Digest::sha256, std::string(scope) + '\n' + std::string(key));
    const std::string body_digest = digest(Digest::sha256, body);
    std::vector<std::string> gone = make_room();
    const auto found = entries_.find(id);
    if (found != entries_.end()) {
        const Entry& entry = found->second;
        if (entry.body_digest != body_digest)
            return done(Found{State::other, {}, id});
        if (entry.state != State::answered)
            return done(Found{entry.state, {}, id});
        return done(Found{State::answered, open_answer(entry.status, key, entry.sealed), id});
    }
    if (entries_.size() >= limits_.keys_max) {
        return done(fail(
            Errc::busy,
            "Idempotency-Key",
            "too many requests with a key are under way",
            "try again in a few seconds"
        ));
    }
    Entry entry;
    entry.body_digest = body_digest;
    entry.created_ms = env_.loop().clock().wall().ms;
    auto save = [id, entry, gone = std::move(gone)](store::Database& db) -> Result<void> {
        BRIM_TRY(delete_answers(db, gone));
        auto insert = db.prepare("INSERT OR REPLACE INTO answer(id, body_digest, status, sealed, created_ms)"
                                 " VALUES(?1, ?2, 0, x'', ?3)");
        if (!insert)
            return fail(std::move(insert).error());
        return insert->bind_blob(1, id).bind_blob(2, entry.body_digest).bind(3, entry.created_ms).run();
    };
    add(id, std::move(entry));
    db_.write(std::move(save), [this, id, done = std::move(done)](Result<void> saved) mutable {
        if (saved)
            return done(Found{State::fresh, {}, id});
        forget(id);
        done(fail(std::move(saved).error()));
    });
}

void AnswerBook::finish(
    const std::string& id, std::string_view key, const Answer& answer, std::function<void()> done
) {
    const auto found = entries_.find(id);
    if (found == entries_.end())
        return done();
    Entry& entry = found->second;
    const std::string salt = env_.random().alnum(salt_bytes);
    entry.sealed = salt + with_stream(key, salt, answer.type + '\0' + answer.body);
    entry.status = answer.status;
    entry.state = State::answered;
    bytes_ += entry.sealed.size();
    auto save = [id, status = entry.status, sealed = entry.sealed](store::Database& db) -> Result<void> {
        auto update = db.prepare("UPDATE answer SET status = ?2, sealed = ?3 WHERE id = ?1");
        if (!update)
            return fail(std::move(update).error());
        return update->bind_blob(1, id).bind(2, status).bind_blob(3, sealed).run();
    };
    db_.write(std::move(save), [this, done = std::move(done)](const Result<void>& saved) {
        if (!saved)
            env_.log().warn("api", "an answer was not kept", {{"cause", saved.error().text()}});
        done();
    });
}

void AnswerBook::release(const std::string& id, std::function<void()> done) {
    forget(id);
    db_.write(
        [id](store::Database& db) { return delete_answers(db, {id}); },
        [this, done = std::move(done)](const Result<void>& saved) {
            if (!saved)
                env_.log().warn("api", "a key was not given back", {{"cause", saved.error().text()}});
            done();
        }
    );
}

} // namespace brim::hub
