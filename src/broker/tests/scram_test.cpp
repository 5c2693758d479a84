#include "broker/scram.h"

#include "broker/internal/scram_text.h"

#include <doctest/doctest.h>

#include <string>

using namespace brim;
using namespace brim::broker;

namespace {

// RFC 7677 section 3.
constexpr std::string_view rfc_client_nonce = "rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view rfc_server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view client_first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view server_first =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view client_final = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                          "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

const ScramVerifier& verifier() {
    static const ScramVerifier made =
        make_scram_verifier("pencil", from_base64("W22ZaJ0SNY7soEsUEjb6gQ==").value(), 4'096).value();
    return made;
}

/// server-final, or why there is none.
Result<Bytes> serve(ByteView first, ByteView final, const ScramVerifier& kept = verifier()) {
    auto server = ScramServer::begin(first);
    if (!server)
        return fail(std::move(server).error());
    server->challenge(kept, rfc_server_nonce);
    return server->finish(final);
}

ScramClient example_client(std::string_view password = "pencil") {
    return ScramClient::make("user", password, rfc_client_nonce).value();
}

Errc begin_error(ByteView message) {
    const auto server = ScramServer::begin(message);
    return server ? Errc::exists : server.error().code; // exists: nothing here says so
}

/// Calls back with every copy of `message` in which one byte differs, by one bit or wholly.
template <class Call> void each_flip(ByteView message, Call call) {
    for (std::size_t at = 0; at < message.size(); ++at) {
        for (const int mask : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
            Bytes wrong(message);
            wrong[at] = static_cast<char>(wrong[at] ^ mask);
            call(wrong);
        }
    }
}

} // namespace

TEST_CASE("the example of RFC 7677 comes out byte by byte, on both sides") {
    ScramClient client = example_client();
    CHECK(client.first() == client_first);
    auto server = ScramServer::begin(client_first);
    REQUIRE(server.has_value());
    CHECK(server->user() == "user");
    CHECK(server->challenge(verifier(), rfc_server_nonce) == server_first);
    const auto answer = client.answer(server_first);
    REQUIRE(answer.has_value());
    CHECK(*answer == client_final);
    const auto last = server->finish(*answer);
    REQUIRE(last.has_value());
    CHECK(*last == server_final);
    CHECK(client.verify(*last).has_value());
}

TEST_CASE("a wrong password is refused at the end, and so is a server without the verifier") {
    ScramClient client = example_client("pencil ");
    const auto answer = client.answer(server_first);
    REQUIRE(answer.has_value());
    CHECK(serve(client_first, *answer).error().code == Errc::unauthenticated);
    CHECK(client.verify(server_final).error().code == Errc::unauthenticated);
    CHECK_FALSE(example_client().verify(server_final).has_value()); // before it answered
    CHECK_FALSE(example_client().verify("v=").has_value());
}

TEST_CASE("no message of the exchange stands with one byte changed") {
    each_flip(client_first, [](const Bytes& wrong) { CHECK_FALSE(serve(wrong, client_final).has_value()); });
    each_flip(client_final, [](const Bytes& wrong) { CHECK_FALSE(serve(client_first, wrong).has_value()); });
    ScramClient client = example_client();
    CHECK(client.answer(server_first).has_value());
    each_flip(server_final, [&](const Bytes& wrong) { CHECK_FALSE(client.verify(wrong).has_value()); });
    each_flip(server_first, [](const Bytes& wrong) {
        const auto answer = example_client().answer(wrong);
        CHECK((!answer || !serve(client_first, *answer).has_value()));
    });
    for (const ByteView whole : {client_first, client_final}) {
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const bool is_first = whole == client_first;
            const ByteView part = whole.substr(0, size);
            CHECK_FALSE(serve(is_first ? part : client_first, is_first ? client_final : part).has_value());
        }
    }
}

TEST_CASE("client-first: what is offered is taken, everything else has its error") {
    for (const std::string_view good :
         {"n,,n=user,r=12345678",
          "y,,n=user,r=12345678",
          "n,,n=a=2Cb=3Dc,r=12345678",
          "n,,n=user,r=12345678,x=1,Y=2",
          "n,,n=\xe6\xb3\xb5,r=12345678"})
        CHECK(ScramServer::begin(good).has_value());
    CHECK(ScramServer::begin("n,,n=a=2Cb=3Dc,r=12345678")->user() == "a,b=c");
    for (const std::string_view bad :
         {"p=tls-unique,,n=user,r=12345678", "n,a=user,n=user,r=12345678", "n,,m=x,n=user,r=12345678"})
        CHECK(begin_error(bad) == Errc::unsupported);
    for (const std::string_view bad :
         {"",
          "n",
          "n,",
          "n,,",
          "N,,n=user,r=12345678",
          "n,x,n=user,r=12345678",
          "n,,n=,r=12345678",
          "n,,n=user",
          "n,,n=user,",
          "n,,r=12345678,n=user",
          "n,,n=user,r=",
          "n,,n=user,r=1234567",
          "n,,n=user,r=12345678,",
          "n,,n=user,r=12345678,x",
          "n,,n=user,r=12345678,x=",
          "n,,n=user,r=12345678,1=2",
          "n,,n=user,r=12345678,p=x",
          "n,,n=user,r=1234 5678",
          "n,,n=a=2cb,r=12345678",
          "n,,n=a=,r=12345678",
          "n,,n=a\x01,r=12345678",
          "n,,n=\xff,r=12345678",
          "n,,n=\xc2\xa0,r=12345678",
          "n,,n=user,r=12345678\xc3\xa9"})
        CHECK(begin_error(bad) == Errc::malformed);
    const auto with_nonce = [](std::size_t bytes) { return "n,,n=user,r=" + Bytes(bytes, 'x'); };
    CHECK(ScramServer::begin(with_nonce(128)).has_value());
    CHECK(begin_error(with_nonce(129)) == Errc::malformed);
    const auto with_name = [](std::size_t bytes) { return "n,,n=" + Bytes(bytes, 'x') + ",r=12345678"; };
    CHECK(ScramServer::begin(with_name(256)).has_value());
    CHECK(begin_error(with_name(257)) == Errc::malformed);
    const auto with_size = [](std::size_t bytes) {
        return "n,,n=user,r=12345678,x=" + Bytes(bytes - 23, 'x');
    };
    CHECK(ScramServer::begin(with_size(2'048)).has_value());
    CHECK(begin_error(with_size(2'049)) == Errc::too_large);
}

TEST_CASE("y,, binds as n,, does: the header that was sent counts") {
    const Bytes first = "y" + Bytes(client_first.substr(1));
    CHECK_FALSE(serve(first, client_final).has_value()); // c=biws is n,,
}

TEST_CASE("client-final: order, binding, nonce and proof are exact") {
    const Bytes nonce = Bytes(rfc_client_nonce) + Bytes(rfc_server_nonce);
    const Bytes proof = Bytes(44, 'A').replace(43, 1, "=");
    for (const Bytes& bad : {
             "r=" + nonce + ",p=" + proof,
             "c=biws,p=" + proof,
             "c=biws,r=" + nonce,
             "c=biws,r=" + nonce + ",p=",
             "c=biws,r=" + nonce + ",p=" + proof + ",x=1",
             "c=biws,r=" + nonce + ",p=" + proof.substr(4),
             "c=biws,r=" + Bytes(rfc_client_nonce) + ",p=" + proof,
             "c=eSws,r=" + nonce + ",p=" + proof,
             "c=biwsAAAA,r=" + nonce + ",p=" + proof,
         })
        CHECK(serve(client_first, bad).error().code == Errc::malformed);
    CHECK(serve(client_first, "m=x,c=biws,r=" + nonce + ",p=" + proof).error().code == Errc::unsupported);
    CHECK(serve(client_first, "c=biws,r=" + nonce + ",p=" + proof).error().code == Errc::unauthenticated);
    CHECK(serve(client_first, "c=biws,r=" + nonce + ",x=1,p=" + proof).error().code == Errc::unauthenticated);
}

TEST_CASE("the client takes no server that would have it hash weakly, for minutes, or for another's nonce") {
    const auto error = [](const Bytes& message) {
        const auto answer = example_client().answer(message);
        return answer ? Errc::exists : answer.error().code;
    };
    const Bytes nonce = "r=" + Bytes(rfc_client_nonce);
    const Bytes salt = ",s=W22ZaJ0SNY7soEsUEjb6gQ==";
    CHECK(error(nonce + "12345678" + salt + ",i=4096,x=1") == Errc::exists);
    for (const std::string_view iterations : {"4095", "1000001", "04096", "4096x", "-4096", "99999999999"})
        CHECK(error(nonce + "12345678" + salt + ",i=" + Bytes(iterations)) == Errc::invalid);
    CHECK(error(nonce + "12345678,s=" + to_base64(Bytes(7, 'x')) + ",i=4096") == Errc::invalid);
    CHECK(error(nonce + "12345678,s=" + to_base64(Bytes(8, 'x')) + ",i=4096") == Errc::exists);
    CHECK(error(nonce + "12345678,s=" + to_base64(Bytes(64, 'x')) + ",i=4096") == Errc::exists);
    CHECK(error(nonce + "12345678,s=" + to_base64(Bytes(65, 'x')) + ",i=4096") == Errc::invalid);
    CHECK(error(nonce + "1234567" + salt + ",i=4096") == Errc::malformed);
    CHECK(error("r=12345678901234567890" + salt + ",i=4096") == Errc::malformed);
    CHECK(error(nonce + "12345678,i=4096" + salt) == Errc::malformed);
    CHECK(error("m=x," + nonce + "12345678" + salt + ",i=4096") == Errc::unsupported);
    CHECK(error("e=other-error") == Errc::malformed);
}

TEST_CASE("a name nobody has goes through the same exchange, always with the same salt, and fails at the end"
) {
    const Bytes secret(32, 's');
    const ScramVerifier one = stand_in_verifier(secret, "nobody", 4'096);
    CHECK(one.salt == stand_in_verifier(secret, "nobody", 4'096).salt);
    CHECK(one.salt.size() == 16);
    CHECK(one.salt != stand_in_verifier(secret, "nobodz", 4'096).salt);
    CHECK(one.salt != stand_in_verifier(Bytes(32, 't'), "nobody", 4'096).salt);
    const auto first = ScramServer::begin(client_first)->challenge(one, rfc_server_nonce);
    const auto answer = example_client().answer(first);
    REQUIRE(answer.has_value());
    CHECK(serve(client_first, *answer, one).error().code == Errc::unauthenticated);
    ScramVerifier marked = verifier(); // the mark alone refuses
    marked.is_stand_in = true;
    const auto refused = serve(client_first, client_final, marked);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().text() == serve(client_first, *answer, one).error().text());
}

TEST_CASE("a verifier is written and read in PostgreSQL's form, strictly") {
    const std::string text =
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    CHECK(scram_verifier_text(verifier()) == text);
    const auto read = parse_scram_verifier(text);
    REQUIRE(read.has_value());
    CHECK(serve(client_first, client_final, *read).has_value());
    for (std::size_t size = 0; size < text.size(); ++size)
        CHECK_FALSE(parse_scram_verifier(text.substr(0, size)).has_value());
    each_flip(text, [](const Bytes& wrong) {
        const auto changed = parse_scram_verifier(wrong);
        CHECK((!changed || scram_verifier_text(*changed) == wrong));
    });
    CHECK_FALSE(parse_scram_verifier(text + "\n").has_value());
    CHECK_FALSE(parse_scram_verifier("SCRAM-SHA-1" + text.substr(13)).has_value());
}

TEST_CASE("verifiers are made within their limits only, of passwords that SASLprep leaves alone") {
    const Bytes salt(16, 's');
    const auto code = [](const Result<ScramVerifier>& made) {
        return made ? Errc::exists : made.error().code;
    };
    CHECK(code(make_scram_verifier("x", salt, 4'096)) == Errc::exists);
    CHECK(code(make_scram_verifier("x", salt, 4'095)) == Errc::invalid);
    CHECK(code(make_scram_verifier("x", salt, 1'000'001)) == Errc::invalid);
    CHECK(code(make_scram_verifier("x", Bytes(7, 's'), 4'096)) == Errc::invalid);
    CHECK(code(make_scram_verifier("x", Bytes(65, 's'), 4'096)) == Errc::invalid);
    CHECK(code(make_scram_verifier(Bytes(1'024, 'x'), salt, 4'096)) == Errc::exists);
    CHECK(code(make_scram_verifier(Bytes(1'025, 'x'), salt, 4'096)) == Errc::too_large);
    CHECK(code(make_scram_verifier("", salt, 4'096)) == Errc::malformed);
    CHECK(code(make_scram_verifier("\xc2\xad", salt, 4'096)) == Errc::malformed);
    CHECK(ScramClient::make("user", "", rfc_client_nonce).error().code == Errc::malformed);
    CHECK(ScramClient::make("", "x", rfc_client_nonce).error().code == Errc::malformed);
    CHECK(ScramClient::make(Bytes(257, 'x'), "x", rfc_client_nonce).error().code == Errc::too_large);
}

TEST_CASE("prepared text is what SASLprep would not change; a mapping or a doubt refuses") {
    using namespace std::string_view_literals;
    for (const auto good :
         {"a"sv,
          " "sv,
          "~"sv,
          "pa ss,=\"'"sv,
          "\xc3\xa9"sv /* é */,
          "\xce\xb1"sv,
          "\xd0\xb6"sv,
          "\xe6\xb3\xb5"sv,
          "\xe3\x81\x82"sv,
          "\xed\x95\x9c"sv,
          "\xf0\xa0\x80\x80"sv})
        CHECK(is_prepared(good));
    for (const auto bad :
         {""sv,
          "\0"sv,
          "\t"sv,
          "\x7f"sv,
          "\x80"sv,
          "\xc2\xa0"sv /* no-break space */,
          "\xc2\xad"sv /* soft hyphen */,
          "\xc2\xaa"sv /* ª, NFKC a */,
          "\xe2\x85\xa3"sv /* Roman four */,
          "e\xcc\x81"sv /* combining accent */,
          "\xef\xbc\xa1"sv /* full-width A */,
          "\xe3\x80\x80"sv,
          "\xd7\x90"sv /* right to left */,
          "\xee\x80\x80"sv /* private use */,
          "\xf3\xa0\x80\x81"sv,
          "\xc8\xa1"sv /* unassigned in 3.2 */})
        CHECK_FALSE(is_prepared(bad));
}
