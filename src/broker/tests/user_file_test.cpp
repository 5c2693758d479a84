#include "broker/user_file.h"

#include "base/hash.h"
#include "broker/internal/base64.h"
#include "broker/internal/password_hash.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

using namespace brim;
using namespace brim::broker;

namespace {

const std::string salt16(16, 's');
// Made by mosquitto_passwd 2.0.11 with the password "right".
const std::string mosquitto_line = "$7$101$diEVckADrQH4KqOB$IVe6j1hpbY7zpVzHynA2vMhoJT71XdF7xgtgue+2H+xNy/"
                                   "f9K+ex4ZFbT44h+sqr6NNuQpJzyRYhol7iNMny2w==";
// Cheap ones, of the password "right": 8 KiB, 1 pass. The salt is "saltsalt".
const std::string cheap_argon =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$P3OLBQw3O3GiY9hpX8wpK8qO6gQccIdDXnlkdzKceqU";
const std::string a_verifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

UserFile users(std::string_view text) {
    auto made = UserFile::parse(text, "users");
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().text()));
    return std::move(*made);
}

bool lets_in(const UserFile& file, std::string_view name, std::string_view password) {
    return password_matches_record(file.find(name), password);
}

} // namespace

TEST_CASE("base64 has one text for each value") {
    CHECK(from_base64("Zm9v", Base64::padded) == "foo");
    CHECK(from_base64("Zg==", Base64::padded) == "f");
    CHECK(from_base64("Zg", Base64::unpadded) == "f");
    CHECK(from_base64("-_8", Base64::url) == "\xFB\xFF");
    CHECK(from_base64("+/8", Base64::unpadded) == "\xFB\xFF");
    CHECK(from_base64("", Base64::padded) == "");
    for (const char* text :
         {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9", "Zm9=", "Zm9vZ", "Zg==Zg==", "Zm-v", " Zg=="})
        CHECK_MESSAGE(!from_base64(text, Base64::padded), text);
    for (const char* text : {"Zg==", "Z", "Zh", "Zm9vZ", "Zm+v", "Zm/v", "Zm9v\n"})
        CHECK_MESSAGE(!from_base64(text, Base64::url), text);
    CHECK(rc::check([](const std::string& bytes) {
        RC_ASSERT(from_base64(to_base64(bytes), Base64::padded) == bytes);
        RC_ASSERT(from_base64(to_base64url(bytes), Base64::url) == bytes);
    }));
}

TEST_CASE("the password of each kind of line lets its user in, and nobody else") {
    const UserFile file = users("# users\n\nann:" + cheap_argon + "\r\nbob:" + mosquitto_line + "\n");
    CHECK(file.names() == std::vector<std::string>{"ann", "bob"});
    for (const char* name : {"ann", "bob"}) {
        CHECK(file.find(name).known);
        CHECK(lets_in(file, name, "right"));
        for (const char* password : {"", "wrong", "Right", "right ", "righ"})
            CHECK_FALSE(lets_in(file, name, password));
    }
    CHECK_FALSE(lets_in(file, "ann", std::string(1'025, 'x')));
}

TEST_CASE("a name that is not there costs the same work and matches nothing") {
    const UserFile file =
        users("ann:" + cheap_argon + "\nbob:" + mosquitto_line + "\neve:" + a_verifier + "\n");
    bool seen_argon = false;
    bool seen_pbkdf2 = false;
    for (int i = 0; i < 64; ++i) {
        const std::string name = "nobody" + std::to_string(i);
        const PasswordRecord record = file.find(name);
        CHECK_FALSE(record.known);
        CHECK(record.hash == file.find(name).hash);
        seen_argon |= record.hash == cheap_argon;
        seen_pbkdf2 |= record.hash == mosquitto_line;
        CHECK_FALSE(password_matches_record(record, "right")); // although it is the password of that hash
    }
    CHECK(seen_argon);
    CHECK(seen_pbkdf2);
    CHECK_FALSE(file.find("eve").known); // SCRAM alone is no password
    CHECK_FALSE(lets_in(file, "eve", "pencil"));
    const PasswordRecord record = UserFile().find("ann");
    CHECK_FALSE(record.known);
    CHECK(refusal_of_hash(record.hash, {}).empty());
    CHECK_FALSE(password_matches_record(record, ""));
    CHECK_FALSE(password_matches_record({}, ""));
}

TEST_CASE("[B-42] every cut of a line is refused, with the whole file, and never a user") {
    for (const std::string& hash : {cheap_argon, mosquitto_line, a_verifier}) {
        const std::string line = "ann:" + hash;
        for (std::size_t size = 1; size < line.size(); ++size) {
            const std::string text = "bob:" + cheap_argon + "\n" + line.substr(0, size) + "\n";
            const auto made = UserFile::parse(text, "users");
            REQUIRE_FALSE_MESSAGE(made.has_value(), text);
            CHECK(made.error().cause.starts_with("line 2: "));
            CHECK(made.error().object == "users");
        }
    }
}

TEST_CASE("[B-42] what is no line of a user is refused and named") {
    const auto cause_of = [](const std::string& text) {
        const auto made = UserFile::parse(text, "users");
        REQUIRE_FALSE_MESSAGE(made.has_value(), text);
        CHECK(made.error().cause.find("c2Fsd") == std::string::npos);
        return made.error().cause;
    };
    CHECK(cause_of("ann") == "line 1: there is no ':' behind a name");
    CHECK(cause_of("ann:") == "line 1: the name has no hash");
    CHECK(cause_of("#\nann:right") == "line 2: what follows the name is no hash that is known here");
    CHECK(cause_of("ann:$6$c2FsdA==$aGFzaA==").find("$6$") != std::string::npos);
    CHECK(cause_of("ann:" + cheap_argon + " ").find("Argon2id") != std::string::npos);
    CHECK(cause_of("ann:" + cheap_argon + "\nann:" + cheap_argon).starts_with("line 2: an earlier line"));
    CHECK(cause_of("ann:" + a_verifier + "\nann:" + a_verifier).starts_with("line 2: an earlier line"));
    for (const char* name : {"", "#", "+", "a/b", "$a", " ann", "ann ", "a\rb", "\xFF"}) {
        if (std::string_view(name) != "#")
            CHECK(
                cause_of(std::string(name) + ":" + cheap_argon).find("the name is empty") != std::string::npos
            );
    }
    const std::string hash = cheap_argon.substr(cheap_argon.find(",p=1") + 4);
    for (const char* cost : {"m=262144,t=2,p=1", "m=8,t=17,p=1", "m=4194304,t=1,p=1", "m=1024,t=1,p=17"})
        CHECK(
            cause_of("ann:$argon2id$v=19$" + std::string(cost) + hash).find("costs more") != std::string::npos
        );
    for (const char* cost :
         {"m=7,t=1,p=1",
          "m=0,t=1,p=1",
          "m=8,t=0,p=1",
          "m=8,t=1,p=0",
          "m=8,t=1",
          "m=08,t=1,p=1",
          "m=-8,t=1,p=1",
          "m=99999999999,t=1,p=1"})
        CHECK(
            cause_of("ann:$argon2id$v=19$" + std::string(cost) + hash).find("malformed") != std::string::npos
        );
    CHECK(
        cause_of("ann:$argon2i$v=19$m=8,t=1,p=1" + hash).find("no hash that is known") != std::string::npos
    );
    const std::string pbkdf2 = mosquitto_line.substr(mosquitto_line.find('$', 3));
    CHECK(cause_of("ann:$7$1000001" + pbkdf2).find("costs more") != std::string::npos);
    CHECK(cause_of("ann:$7$0" + pbkdf2).find("malformed") != std::string::npos);
    const std::string keys = a_verifier.substr(a_verifier.find(':'));
    CHECK(cause_of("ann:SCRAM-SHA-256$4095" + keys).find("less than 4,096") != std::string::npos);
    CHECK(cause_of("ann:SCRAM-SHA-256$1000001" + keys).find("costs more") != std::string::npos);
    CHECK(cause_of("ann:SCRAM-SHA-1$4096" + keys).find("malformed") != std::string::npos);
}

TEST_CASE("[B-42] an empty file knows nobody; a byte order mark is no part of a name") {
    for (const char* text : {"", "\n", " \t\r\n", "# ann:x", "\xEF\xBB\xBF"}) {
        const UserFile file = users(text);
        CHECK(file.names().empty());
        CHECK_FALSE(lets_in(file, "", ""));
        CHECK_FALSE(lets_in(file, "ann", ""));
    }
    CHECK(
        users(
            "\xEF\xBB\xBF"
            "ann:" +
            cheap_argon + "\r\n"
        )
            .names() == std::vector<std::string>{"ann"}
    );
}

TEST_CASE("every limit of the password file holds on both sides") {
    const std::string line = "ann:" + cheap_argon;
    UserFileLimits limits;
    limits.line_bytes_max = line.size();
    limits.users_max = 2;
    limits.file_bytes_max = 2 * line.size() + 2;
    CHECK(UserFile::parse(line + "\nbob" + line.substr(3) + "\n", "users", limits).has_value());
    limits.file_bytes_max = 1'000;
    for (const std::string& text :
         {"anna" + line.substr(3),
          line + "\nbob" + line.substr(3) + "\neve" + line.substr(3),
          "#" + std::string(1'000, 'x')}) {
        const auto made = UserFile::parse(text, "users", limits);
        REQUIRE_FALSE(made.has_value());
        CHECK(made.error().code == Errc::too_large);
    }
}

TEST_CASE("a changed password stands where the old one stood, and every other byte stays") {
    const std::string before = "# first\r\n\r\nann:" + cheap_argon + "\r\n# last\r\nbob:" + mosquitto_line;
    const auto changed = set_user(before, "ann", "new one", salt16);
    REQUIRE(changed.has_value());
    const std::size_t at = changed->find("ann:");
    const std::size_t end = changed->find("\r\n", at) + 2;
    CHECK(changed->substr(0, at) == "# first\r\n\r\n");
    CHECK(changed->substr(end) == "# last\r\nbob:" + mosquitto_line);
    CHECK(lets_in(users(*changed), "ann", "new one"));
    CHECK_FALSE(lets_in(users(*changed), "ann", "right"));
    const auto added = set_user(before, "eve", "x", salt16);
    REQUIRE(added.has_value());
    CHECK(added->starts_with(before + "\r\neve:$argon2id$"));
    CHECK(added->ends_with("\r\n"));
    CHECK(set_user("", "eve", "x", salt16)->starts_with("eve:$argon2id$"));
    CHECK(remove_user(*added, "eve").value() == before + "\r\n");
    CHECK(remove_user(before, "ann").value() == "# first\r\n\r\n# last\r\nbob:" + mosquitto_line);
    CHECK(remove_user(before, "eve").error().code == Errc::not_found);
    CHECK(remove_user(before, "# first").error().code == Errc::not_found);
}

TEST_CASE("a broken file and an unusable name or password are not written") {
    CHECK(set_user("ann\n", "bob", "x", salt16).error().cause.starts_with("line 1:"));
    CHECK(remove_user("ann\n", "bob").error().cause.starts_with("line 1:"));
    for (const char* name : {"", "#", "a/b", "a:b", "$x", " a", "a\nb:c"})
        CHECK(set_user("", name, "x", salt16).error().code == Errc::invalid);
    CHECK(set_user("", "ann", "", salt16).error().code == Errc::invalid);
    CHECK(set_user("", "ann", std::string(1'025, 'x'), salt16).error().code == Errc::invalid);
    CHECK(set_user("", "ann", "\xC3\xBC", salt16, ScramCost{salt16, 4'096}).error().code == Errc::invalid);
    CHECK(set_user("", "ann", "\xC3\xBC", salt16).has_value());
}

TEST_CASE("a SCRAM verifier is the one of RFC 7677, and goes with its password") {
    const Bytes salt = *from_base64("W22ZaJ0SNY7soEsUEjb6gQ==", Base64::padded);
    const auto made = set_user("# x\n", "user", "pencil", salt16, ScramCost{salt, 4'096});
    REQUIRE(made.has_value());
    const UserFile file = users(*made);
    REQUIRE(file.scram("user") != nullptr);
    const std::string verifier = *file.scram("user");
    CHECK(verifier == a_verifier);
    // The exchange of RFC 7677 section 3.
    const std::string nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const std::string exchange =
        "n=user,r=rOprNGfwEbeRWgbNEkqO,r=" + nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=" + nonce;
    const std::size_t keys = verifier.find('$', 14) + 1;
    const Bytes stored = *from_base64(verifier.substr(keys, 44), Base64::padded);
    const Bytes server = *from_base64(verifier.substr(keys + 45), Base64::padded);
    CHECK(
        to_base64(hmac(Digest::sha256, server, exchange)) == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    );
    Bytes client_key = *from_base64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", Base64::padded);
    const Bytes mask = hmac(Digest::sha256, stored, exchange);
    for (std::size_t i = 0; i < client_key.size(); ++i)
        client_key[i] = static_cast<char>(client_key[i] ^ mask[i]);
    CHECK(digest(Digest::sha256, client_key) == stored);
    CHECK(lets_in(file, "user", "pencil"));
    // Without a new verifier the old password would still get in by SCRAM.
    const auto changed = set_user(*made, "user", "pen", salt16);
    CHECK(users(*changed).scram("user") == nullptr);
    CHECK(remove_user(*made, "user").value() == "# x\n");
    CHECK(file.scram("nobody") == nullptr);
}
