// What TLS connections are named by, and what a peer costs that sends a byte at a time.

#include "io/internal/tls_served.h"

#include "io/sim/sim_disk.h"
#include "io/tls.h"

#include <doctest/doctest.h>
#include <map>
#include <openssl/ssl.h>
#include <utility>
#include <vector>

namespace brim::io {

namespace {

struct NamedFree {
    void operator()(X509* certificate) const noexcept { X509_free(certificate); }

    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }

    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};

std::string name_of(const std::vector<std::string>& common_names, int form = MBSTRING_UTF8) {
    const std::unique_ptr<X509, NamedFree> certificate(X509_new());
    for (const std::string& name : common_names)
        REQUIRE(
            X509_NAME_add_entry_by_NID(
                X509_get_subject_name(certificate.get()),
                NID_commonName,
                form,
                reinterpret_cast<const unsigned char*>(name.data()),
                static_cast<int>(name.size()),
                -1,
                0
            ) == 1
        );
    return common_name(certificate.get());
}

/// Counts what is asked of it; time stands still unless it is moved.
class CountingLoop final : public Loop, private Clock {
public:
    const Clock& clock() const override { return *this; }

    Mono now() const override { return now_; }

    void post(Work) override { ++posted; }

    TimerId after(Duration delay, Work work) override {
        ++timers;
        due_.emplace(++last_, std::pair{now_ + delay, std::move(work)});
        return last_;
    }

    void cancel(TimerId timer) override { due_.erase(timer); }

    void at_turn_end(Work) override { ++turn_ends; }

    void pass(Duration time) {
        now_ += time;
        std::vector<Work> ready;
        for (auto& [id, entry] : due_)
            if (entry.first <= now_)
                ready.push_back(std::move(entry.second));
        std::erase_if(due_, [this](const auto& each) { return each.second.first <= now_; });
        for (Work& work : ready)
            work();
    }

    std::size_t posted = 0, timers = 0, turn_ends = 0;

private:
    Mono mono() const override { return now_; }

    WallTime wall() const override { return {1'795'219'200'000}; }

    Mono now_{1h};
    std::map<TimerId, std::pair<Mono, Work>> due_;
    TimerId last_ = 0;
};

/// The inner stream: hands on what the test says the peer sent.
class FedStream final : public Stream {
public:
    explicit FedStream(FedStream** self) { *self = this; }

    void start(StreamHandler& handler) override { handler_ = &handler; }

    bool write(ByteView) override {
        ++writes;
        return true;
    }

    std::size_t queued() const override { return 0; }

    void pause_reading(bool) override {}

    void close() override { is_closed = true; }

    Peer peer() const override { return {}; }

    void feed(ByteView bytes) { handler_->on_data(bytes); }

    std::size_t writes = 0;
    bool is_closed = false;

private:
    StreamHandler* handler_ = nullptr;
};

struct CountedEnd final : StreamHandler {
    void on_data(ByteView) override { ++data; }

    void on_closed(const Error& why) override {
        ++closed;
        code = why.code;
    }

    std::size_t data = 0, closed = 0;
    Errc code = Errc::io;
};

/// What a client says first.
Bytes hello() {
    const std::unique_ptr<SSL_CTX, NamedFree> context(SSL_CTX_new(TLS_client_method()));
    const std::unique_ptr<SSL, NamedFree> ssl(SSL_new(context.get()));
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl.get());
    SSL_do_handshake(ssl.get());
    Bytes bytes(4'096, '\0');
    const int size = BIO_read(SSL_get_wbio(ssl.get()), bytes.data(), static_cast<int>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(std::max(size, 0)));
    return bytes;
}

} // namespace

TEST_CASE("[B-50] a certificate is named by its one common name, and by none that could be read as another") {
    CHECK(name_of({"pump-7"}) == "pump-7");
    CHECK(name_of({"p\xc3\xbcmp"}) == "p\xc3\xbcmp");
    CHECK(name_of({std::string("admin\0.evil.test", 16)}) == "");
    CHECK(name_of({"admin\nroot"}) == "");
    CHECK(name_of({"admin", "eve"}) == "");
    CHECK(name_of({}) == "");
    CHECK(name_of({std::string("\0a\0b", 4)}, V_ASN1_BMPSTRING) == "ab");
}

TEST_CASE("[B-14] a thousand peers that send a byte a second cost one call each byte, and end after 10 s") {
    SimDisk disk(14);
    CountingLoop loop;
    REQUIRE(make_self_signed(disk, loop.clock().wall(), "/c", "/k", {"hub"}, 30));
    const auto context = std::move(*TlsContext::server(disk, {.certificate_file = "/c", .key_file = "/k"}));
    constexpr std::size_t peers = 1'000;
    const Bytes first = hello();
    REQUIRE(first.size() > 100);
    std::vector<FedStream*> fed(peers);
    std::vector<std::unique_ptr<Stream>> streams;
    std::vector<CountedEnd> ends(peers);
    for (std::size_t i = 0; i < peers; ++i) {
        streams.push_back(wrap_server(loop, std::make_unique<FedStream>(&fed[i]), *context));
        streams.back()->start(ends[i]);
    }
    for (std::size_t second = 0; second < 9; ++second) {
        for (FedStream* each : fed)
            each->feed(ByteView(first).substr(second, 1));
        loop.pass(1s);
    }
    // The deadline of each and nothing else: no work that comes back, no timer, no answer.
    CHECK(loop.timers == peers);
    CHECK(loop.turn_ends == 0);
    CHECK(loop.posted == 0);
    for (std::size_t i = 0; i < peers; ++i) {
        REQUIRE(fed[i]->writes == 0);
        REQUIRE(ends[i].closed == 0);
    }
    loop.pass(1s);
    for (std::size_t i = 0; i < peers; ++i) {
        REQUIRE(fed[i]->is_closed);
        REQUIRE(ends[i].closed == 1);
        REQUIRE(ends[i].code == Errc::timeout);
        REQUIRE(ends[i].data == 0);
    }
}

} // namespace brim::io
