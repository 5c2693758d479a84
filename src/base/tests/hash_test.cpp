#include "base/hash.h"

#include "base/internal/crc32c.h"
#include "base/random.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

using namespace brim;

namespace {

struct CrcVector {
    std::string bytes;
    std::uint32_t sum;
};

/// RFC 3720 appendix B.4, and the usual check value.
std::vector<CrcVector> crc_vectors() {
    std::string rising;
    for (int i = 0; i < 32; ++i)
        rising.push_back(static_cast<char>(i));
    const std::string falling(rising.rbegin(), rising.rend());
    const Bytes command = from_hex("01c00000000000000000000000000000140000000000040000000014"
                                   "0000001828000000000000000200000000000000")
                              .value();
    return {
        {std::string(32, '\0'), 0x8A9136AA},
        {std::string(32, '\xFF'), 0x62A8AB43},
        {rising, 0x46DD794E},
        {falling, 0x113FDB5C},
        {command, 0xD9963A56},
        {"123456789", 0xE3069283},
        {"", 0},
    };
}

} // namespace

TEST_CASE("CRC-32C gives the vectors of RFC 3720, by table and by instruction") {
    for (const CrcVector& vector : crc_vectors()) {
        CHECK(crc32c(vector.bytes) == vector.sum);
        CHECK(~crc32c_table(~0U, vector.bytes) == vector.sum);
        if (crc32c_hardware_present())
            CHECK(~crc32c_hardware(~0U, vector.bytes) == vector.sum);
    }
}

TEST_CASE("a CRC-32C continued over any split is the CRC-32C of the whole, both ways") {
    CHECK(rc::check([](const std::string& a, const std::string& b) {
        RC_ASSERT(crc32c(b, crc32c(a)) == crc32c(a + b));
        RC_ASSERT(crc32c_table(crc32c_table(~0U, a), b) == crc32c_table(~0U, a + b));
        RC_ASSERT(~crc32c_table(~0U, a + b) == crc32c(a + b));
    }));
}

TEST_CASE("digests give their published vectors") {
    CHECK(to_hex(digest(Digest::md5, "")) == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(to_hex(digest(Digest::md5, "abc")) == "900150983cd24fb0d6963f7d28e17f72");
    CHECK(to_hex(digest(Digest::sha1, "abc")) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(
        to_hex(digest(Digest::sha256, "abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    CHECK(digest(Digest::sha256, {}).size() == 32);
}

TEST_CASE("HMAC gives the vectors of RFC 2202 and RFC 4231") {
    CHECK(
        to_hex(hmac(Digest::md5, "Jefe", "what do ya want for nothing?")) ==
        "750c783e6ab0b503eaa86e310a5db738"
    );
    CHECK(
        to_hex(hmac(Digest::sha1, "Jefe", "what do ya want for nothing?")) ==
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
    );
    CHECK(
        to_hex(hmac(Digest::sha256, "Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    // a key longer than the block is hashed first
    CHECK(
        to_hex(hmac(
            Digest::sha256, std::string(131, '\xAA'), "Test Using Larger Than Block-Size Key - Hash Key First"
        )) == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    );
    CHECK(
        to_hex(hmac(Digest::sha256, {}, {})) ==
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
    );
}

TEST_CASE("equal_constant_time is equality") {
    CHECK(equal_constant_time("", ""));
    CHECK(equal_constant_time("token", "token"));
    CHECK_FALSE(equal_constant_time("token", "tokex"));
    CHECK_FALSE(equal_constant_time("token", "toke"));
}

TEST_CASE("a password hash matches its password and no other") {
    const std::string salt = "0123456789abcdef";
    const auto encoded = password_hash("correct horse", salt);
    REQUIRE(encoded);
    CHECK(encoded->starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    CHECK(password_matches("correct horse", *encoded));
    CHECK_FALSE(password_matches("correct horsf", *encoded));
    CHECK_FALSE(password_matches("", *encoded));
    CHECK(*password_hash("correct horse", "fedcba9876543210") != *encoded);
}

TEST_CASE("a malformed, truncated or ruinously dear password hash matches nothing") {
    const auto encoded = password_hash("x", "0123456789abcdef").value();
    for (std::size_t size = 0; size < encoded.size(); size += 3) {
        CHECK_FALSE(password_matches("x", encoded.substr(0, size)));
    }
    std::string dear = encoded;
    dear.replace(dear.find("m=19456"), 7, "m=4194304"); // 4 GiB
    CHECK_FALSE(password_matches("x", dear));
    CHECK_FALSE(password_matches("x", "$argon2i$v=19$m=16,t=2,p=1$YWFhYWFhYWE$YWFhYWFhYWE"));
}

TEST_CASE("a password has at most 1,024 bytes") {
    CHECK(password_hash(std::string(1'024, 'p'), "0123456789abcdef"));
    const auto refused = password_hash(std::string(1'025, 'p'), "0123456789abcdef");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::too_large);
}
