#include "loop_fixture.h"
#include "stream_recorder.h"

#include "io/certificate.h"
#include "io/posix_disk.h"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

namespace brim::io {

using testing::LoopFixture;
using testing::Recorder;

namespace {

constexpr std::int64_t day_ms = 86'400'000;

/// Certificates made by the openssl program, and a server that shows one of them.
struct CertificateFixture : LoopFixture {
    std::string folder = "/tmp/brim-certificate-" + std::to_string(::getpid());
    PosixDisk disk;
    std::unique_ptr<TlsContext> shown, trust;
    std::unique_ptr<Listener> listener;
    std::vector<std::unique_ptr<Stream>> accepted;
    Recorder at_server;

    CertificateFixture() {
        REQUIRE(disk.make_dir(folder).has_value());
        authority("ca", 3'650);
        trust = std::move(*TlsContext::client(disk, {.ca_file = at("ca.crt")}));
    }

    ~CertificateFixture() { std::filesystem::remove_all(folder); }

    std::string at(const std::string& name) const { return folder + "/" + name; }

    void openssl(const std::string& words) const {
        const std::string line = "cd " + folder + " && openssl " + words + " >openssl.out 2>&1";
        REQUIRE_MESSAGE(std::system(line.c_str()) == 0, line);
    }

    void authority(const std::string& name, int days) const {
        openssl(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " + name +
            ".key -subj '/O=Works/CN=Authority " + name + "' -out " + name + ".csr"
        );
        const std::string extensions = "basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign\\n";
        REQUIRE(std::system(("printf '" + extensions + "' >" + at(name + ".ext")).c_str()) == 0);
        openssl(
            "x509 -req -in " + name + ".csr -signkey " + name + ".key -days " + std::to_string(days) +
            " -extfile " + name + ".ext -out " + name + ".crt"
        );
    }

    /// Signed by `issuer`; the chain after it when it is not the trusted root.
    void issue(
        const std::string& name,
        int days,
        const std::string& alternatives = "DNS:hub.test,IP:127.0.0.1",
        const std::string& issuer = "ca",
        const std::string& key = "ec -pkeyopt ec_paramgen_curve:P-256"
    ) const {
        openssl(
            "req -new -newkey " + key + " -nodes -keyout " + name + ".key -subj '/O=Works/CN=" + name +
            "' -out " + name + ".csr"
        );
        const std::string extensions = "subjectAltName=" + alternatives + "\\nbasicConstraints=CA:FALSE\\n";
        REQUIRE(std::system(("printf '" + extensions + "' >" + at(name + ".ext")).c_str()) == 0);
        openssl(
            "x509 -req -in " + name + ".csr -CA " + issuer + ".crt -CAkey " + issuer +
            ".key -CAcreateserial -days " + std::to_string(days) + " -extfile " + name + ".ext -out " + name +
            ".crt"
        );
    }

    void serve(const std::string& name) {
        shown = std::move(
            *TlsContext::server(disk, {.certificate_file = at(name + ".crt"), .key_file = at(name + ".key")})
        );
        listener = std::move(*net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [this](auto stream) {
            accepted.push_back(wrap_server(loop, std::move(stream), *shown));
            accepted.back()->start(at_server);
        }));
    }

    Result<CertificateReport> inspect(const std::string& name, std::int64_t later_ms = 0) {
        std::optional<Result<CertificateReport>> report;
        const auto inspection = inspect_certificate(
            loop,
            net,
            listener->local(),
            *trust,
            {.name = name, .at = {clock.wall().ms + later_ms}},
            5s,
            [&](auto result) { report = std::move(result); }
        );
        CHECK_FALSE(report); // never from inside the call
        REQUIRE(until([&] { return report.has_value(); }));
        return std::move(*report);
    }
};

std::string joined(const std::vector<CertificateRefusal>& refusals) {
    std::string text;
    for (const CertificateRefusal& each : refusals)
        text += each.why.text() + "\n";
    return text;
}

} // namespace

TEST_CASE("an inspection says who a certificate is for, from when to when, by which key, and sends nothing") {
    CertificateFixture fixture;
    fixture.issue("hub", 20);
    fixture.serve("hub");
    const auto report = fixture.inspect("hub.test");
    REQUIRE_MESSAGE(report.has_value(), (report ? "" : report.error().text()));
    CHECK_MESSAGE(report->refusals.empty(), joined(report->refusals));
    REQUIRE(report->chain.size() == 1);
    const Certificate& own = report->chain.front();
    CHECK(own.subject == "CN=hub,O=Works");
    CHECK(own.issuer == "CN=Authority ca,O=Works");
    CHECK(own.names == std::vector<std::string>{"hub.test", "127.0.0.1"});
    CHECK(own.key == "ECDSA P-256");
    CHECK(own.not_after.ms - own.not_before.ms == 20 * day_ms);
    CHECK(std::abs(own.not_before.ms - fixture.clock.wall().ms) < 60'000);
    CHECK(report->protocol == "TLSv1.3");
    CHECK(fixture.until([&] { return fixture.at_server.closed == 1; }));
    CHECK(fixture.at_server.received.empty());
    CHECK(fixture.inspect("127.0.0.1")->refusals.empty());
    CHECK(fixture.inspect("")->refusals.empty());
}

TEST_CASE("an inspection tells every objection, where a connection ends at the first") {
    CertificateFixture fixture;
    SUBCASE("expired, of another name and of an unknown authority") {
        fixture.authority("other", 3'650);
        fixture.issue("hub", -1, "DNS:hub.test", "other");
        fixture.serve("hub");
        const auto report = fixture.inspect("elsewhere.test");
        REQUIRE(report.has_value());
        const std::string text = joined(report->refusals);
        CHECK_MESSAGE(report->refusals.size() == 3, text);
        CHECK_MESSAGE(text.contains("the server's certificate expired on"), text);
        CHECK_MESSAGE(text.contains("is for hub.test, not for elsewhere.test"), text);
        CHECK_MESSAGE(text.contains("not trusted here"), text);
        std::set<CertificateFault> faults;
        for (const CertificateRefusal& each : report->refusals) {
            CHECK_FALSE(each.why.fix.empty());
            faults.insert(each.fault);
        }
        using enum CertificateFault;
        CHECK(faults == std::set<CertificateFault>{expired, other_name, not_trusted});
    }
    SUBCASE("an address the certificate is not for") {
        fixture.issue("hub", 20, "DNS:hub.test,IP:::1");
        fixture.serve("hub");
        const auto report = fixture.inspect("127.0.0.1");
        REQUIRE(report.has_value());
        CHECK(report->chain.front().names == std::vector<std::string>{"hub.test", "::1"});
        REQUIRE(report->refusals.size() == 1);
        CHECK(report->refusals.front().why.cause.contains("not for 127.0.0.1"));
    }
    SUBCASE("judged at the time that is asked for: before, within and after") {
        fixture.issue("hub", 20);
        fixture.serve("hub");
        const auto early = fixture.inspect("hub.test", -2 * day_ms);
        CHECK(early->refusals.size() == 2); // the authority is as young
        for (const CertificateRefusal& each : early->refusals)
            CHECK(each.fault == CertificateFault::not_yet_valid);
        CHECK(joined(early->refusals).contains("the server's certificate is valid only from"));
        CHECK(fixture.inspect("hub.test", 19 * day_ms)->refusals.empty());
        CHECK(joined(fixture.inspect("hub.test", 21 * day_ms)->refusals).contains("expired on"));
    }
    SUBCASE("an expired authority is named, not the server") {
        fixture.authority("old", -1);
        fixture.issue("hub", 20, "DNS:hub.test", "old");
        fixture.trust = std::move(*TlsContext::client(fixture.disk, {.ca_file = fixture.at("old.crt")}));
        fixture.serve("hub");
        const auto report = fixture.inspect("hub.test");
        REQUIRE(report->refusals.size() == 1);
        const std::string& cause = report->refusals.front().why.cause;
        CHECK_MESSAGE(cause.contains("authority's certificate /O=Works/CN=Authority old expired on"), cause);
    }
    SUBCASE("RSA keys and other curves by name") {
        fixture.issue("hub", 20, "DNS:hub.test", "ca", "rsa:2048");
        fixture.serve("hub");
        CHECK(fixture.inspect("hub.test")->chain.front().key == "RSA 2048");
        fixture.issue("hub", 20, "DNS:hub.test", "ca", "ec -pkeyopt ec_paramgen_curve:P-384");
        CHECK(read_certificate_file(fixture.disk, fixture.at("hub.crt"))->front().key == "ECDSA P-384");
        fixture.issue("hub", 20, "DNS:hub.test", "ca", "ed25519");
        CHECK(read_certificate_file(fixture.disk, fixture.at("hub.crt"))->front().key == "Ed25519");
    }
}

TEST_CASE("an inspection of what is no TLS server ends with the reason") {
    CertificateFixture fixture;
    SUBCASE("nobody listens") {
        fixture.issue("hub", 20);
        fixture.serve("hub");
        const Endpoint gone = fixture.listener->local();
        fixture.listener.reset();
        std::optional<Error> why;
        const auto inspection =
            inspect_certificate(fixture.loop, fixture.net, gone, *fixture.trust, {}, 5s, [&](auto result) {
                REQUIRE_FALSE(result.has_value());
                why = result.error();
            });
        REQUIRE(fixture.until([&] { return why.has_value(); }));
        CHECK(why->code == Errc::unavailable);
    }
    SUBCASE("another protocol") {
        fixture.listener =
            std::move(*fixture.net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) {
                fixture.accepted.push_back(std::move(stream));
                fixture.accepted.back()->start(fixture.at_server);
                fixture.accepted.back()->write("220 welcome to something else entirely\r\n");
            }));
        const auto report = fixture.inspect("hub.test");
        REQUIRE_FALSE(report.has_value());
        CHECK(report.error().cause.contains("does not speak TLS"));
    }
    SUBCASE("one that hangs up") {
        fixture.listener = std::move(
            *fixture.net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) { stream->close(); })
        );
        const auto report = fixture.inspect("hub.test");
        REQUIRE_FALSE(report.has_value());
        CHECK(report.error().cause.contains("during the TLS handshake"));
    }
    SUBCASE("one that is silent, and one that is left in time") {
        fixture.listener =
            std::move(*fixture.net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) {
                fixture.accepted.push_back(std::move(stream));
                fixture.accepted.back()->start(fixture.at_server);
            }));
        std::optional<Error> why;
        auto inspection = inspect_certificate(
            fixture.loop,
            fixture.net,
            fixture.listener->local(),
            *fixture.trust,
            {},
            100ms,
            [&](auto result) { why = result.error(); }
        );
        REQUIRE(fixture.until([&] { return why.has_value(); }));
        CHECK(why->code == Errc::timeout);
        why.reset();
        inspection = inspect_certificate(
            fixture.loop,
            fixture.net,
            fixture.listener->local(),
            *fixture.trust,
            {},
            100ms,
            [&](auto result) { why = result.error(); }
        );
        fixture.settle(20ms);
        inspection.reset();
        fixture.settle(150ms);
        CHECK_FALSE(why.has_value());
        CHECK(fixture.until([&] { return fixture.at_server.closed == 2; }));
    }
}

TEST_CASE("certificate files are described and judged as a server would be that shows them") {
    CertificateFixture fixture;
    fixture.issue("hub", 20);
    const CertificateQuestion question{.name = "hub.test", .at = fixture.clock.wall()};
    const auto judged = [&](const std::string& file, const CertificateQuestion& asked) {
        return inspect_certificate_file(fixture.disk, fixture.at(file), *fixture.trust, asked);
    };
    CHECK(judged("hub.crt", question)->refusals.empty());
    CHECK(judged("hub.crt", question)->protocol.empty());
    CHECK(judged("hub.crt", {.name = "x.test", .at = question.at})->refusals.size() == 1);
    CHECK(judged("hub.crt", {.at = {question.at.ms + 21 * day_ms}})->refusals.size() == 1);

    const Bytes chain = *read_file(fixture.disk, fixture.at("hub.crt"), 100'000) +
                        *read_file(fixture.disk, fixture.at("ca.crt"), 100'000);
    REQUIRE(write_file_atomically(fixture.disk, fixture.at("chain.crt"), chain).has_value());
    CHECK(read_certificate_file(fixture.disk, fixture.at("chain.crt"))->size() == 2);
    CHECK(judged("chain.crt", question)->chain.size() == 2);
    REQUIRE(write_file_atomically(fixture.disk, fixture.at("cut.crt"), chain.substr(0, chain.size() - 100))
                .has_value());
    CHECK(read_certificate_file(fixture.disk, fixture.at("cut.crt")).error().code == Errc::malformed);
    CHECK(judged("cut.crt", question).error().code == Errc::malformed);
    CHECK(judged("hub.key", question).error().code == Errc::malformed);
    CHECK(judged("absent.crt", question).error().code == Errc::not_found);
}

} // namespace brim::io
