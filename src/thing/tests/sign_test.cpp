#include "thing/sign.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::thing;

namespace {

const DeviceKey device{"a1EXAMPLE01", "dev001"};
const Secret device_secret{"0123456789abcdef0123456789abcdef"};

} // namespace

TEST_CASE("[sign-1] a device's signature equals the published vectors") {
    struct Vector {
        Digest method;
        std::string_view client_id, timestamp, hex;
    };

    const Vector vectors[] = {
        {Digest::md5, "12345", "1700000000000", "9091023284920e52804e631c54dd92aa"},
        {Digest::sha1, "12345", "1700000000000", "afe0807255d1a073a389fa0abc93137ab62db7d4"},
        {Digest::sha256,
         "12345",
         "1700000000000",
         "8b57119e0868360a84d14e10f8ec46619e33c26e3f72dd29dc7af2b30209346c"},
        {Digest::md5, "12345", "", "69c7b0d209e454ecd990f7fc9b5d8517"},
        {Digest::sha1, "12345", "", "03f4136867da1b0e40c099a77e15900cb0cadf56"},
        {Digest::sha256, "12345", "", "dde0e1a258067987a748bddf957d5cf0a232855d747a3e15a5fdbe8942bd5b95"},
        {Digest::sha256,
         "a1EXAMPLE01.dev001",
         "2524608000000",
         "3F7CEFE816D2D09CBA60E14ECAAFE6E3FC87FE6B143D8C7594254F69B282E792"},
        {Digest::sha1, "a1EXAMPLE01&dev001", "1700000000000", "74b83d4e04d07966ba47d2b902be9c506d6fbbec"},
    };
    for (const Vector& vector : vectors) {
        const std::string made =
            sign(vector.method, device_secret, vector.client_id, device, vector.timestamp);
        CAPTURE(vector.hex);
        CHECK(verify(vector.hex, made));
        CHECK(verify(made, made));
        std::string changed = made;
        changed.back() = changed.back() == '0' ? '1' : '0';
        CHECK_FALSE(verify(vector.hex, changed));
    }
    CHECK(verify(
        "FAFD82A3D602B37FB0FA8B7892F24A477F851A14",
        sign(Digest::sha1, Secret{"secret"}, "12345", {"pk", "device"}, "789")
    ));
}

TEST_CASE("[sign-2] a sub-device's signature equals the published vectors") {
    const DeviceKey sub{"a1SUBDEV001", "sub01"};
    const Secret secret{"fedcba9876543210fedcba9876543210"};
    CHECK(sign(Digest::md5, secret, "sub01", sub, "1700000000000") == "c1064128189108b928d5f12cdfd6fe45");
    CHECK(
        sign(Digest::sha1, secret, "sub01", sub, "1700000000000") ==
        "c20785bf046492500295ed0e63dd7502673edf1a"
    );
    CHECK(
        sign(Digest::sha256, secret, "sub01", sub, "1700000000000") ==
        "2e7e7aa04f0e1f4ee947beb8ea835ae9594b80f8d410cd31419c6c358b9dff8a"
    );
}

TEST_CASE("[sign-3] any parameters are signed in the order of their names") {
    const std::map<std::string, std::string, std::less<>> registration{
        {"random", "8Ygb7ULYh53B6OA"}, {"productKey", "a1EXAMPLE01"}, {"deviceName", "dev001"}
    };
    const Secret product{"PSexample0000001"};
    CHECK(sign_parameters(Digest::md5, product, registration) == "73277577dfae5b4666a74f2b8b8d590c");
    CHECK(sign_parameters(Digest::sha1, product, registration) == "b5f103270d644e17ed35fa5fda2236a8ad793556");
    CHECK(
        sign_parameters(Digest::sha256, product, registration) ==
        "edd5a371220ff29126a8304432a45b4fc7a9d7a0c64c744a5cb48e90bcaf2631"
    );
    std::map<std::string, std::string, std::less<>> coap{
        {"clientId", "a1EXAMPLE01&dev001"},
        {"deviceName", "dev001"},
        {"productKey", "a1EXAMPLE01"},
        {"seq", "10"}
    };
    CHECK(sign_parameters(Digest::md5, device_secret, coap) == "ef2c34fd16a5cc8b1499a5befd0885a0");
    coap.emplace("timestamp", "1700000000000");
    CHECK(sign_parameters(Digest::md5, device_secret, coap) == "41055dfed56a1c4cd8b890121dbe9daf");
    CHECK(sign_parameters(Digest::sha1, device_secret, coap) == "1d472459c2ca28b4adba64038463d10788f36232");
}

TEST_CASE("[sign-4] a signature of another length, empty or not hex never verifies") {
    const std::string good = sign(Digest::md5, device_secret, "12345", device, "");
    CHECK_FALSE(verify("", good));
    CHECK_FALSE(verify("", ""));
    CHECK_FALSE(verify(good.substr(1), good));
    CHECK_FALSE(verify(good + "0", good));
    CHECK_FALSE(verify(std::string(32, 'z'), good));
    CHECK_FALSE(verify(std::string(1'000'000, '0'), std::string(1'000'000, '0')));
}

TEST_CASE("[sign-5] client ids of real SDKs are understood") {
    const auto node_new = parse_client_id(
        "a1EXAMPLE01&dev001|securemode=3,signmethod=hmacsha1,timestamp=1795217047870,lan=NodeJS,_v=1.2.8|"
    );
    REQUIRE(node_new.has_value());
    CHECK(node_new->client_id == "a1EXAMPLE01&dev001");
    CHECK(node_new->securemode == 3);
    CHECK(node_new->method == Digest::sha1);
    CHECK(node_new->timestamp == "1795217047870");
    CHECK(node_new->extended.at("lan") == "NodeJS");

    const auto node_old = parse_client_id("a1EXAMPLE01&dev001_aliyun-iot-device-sdk-js|securemode=3,\n       "
                                          " signmethod=hmacsha1,\n        timestamp=17|");
    REQUIRE(node_old.has_value());
    CHECK(node_old->method == Digest::sha1);
    CHECK(node_old->timestamp == "17");

    const auto trailing = parse_client_id("a.b|securemode=-2,signmethod = HmacSHA256 ,|");
    REQUIRE(trailing.has_value());
    CHECK(trailing->securemode == -2);
    CHECK(trailing->method == Digest::sha256);
    CHECK(trailing->timestamp.empty());

    const auto empty_id = parse_client_id("|timestamp=2524608000000,_ss=1|");
    REQUIRE(empty_id.has_value());
    CHECK(empty_id->client_id.empty());
    CHECK(empty_id->method == Digest::md5);
    CHECK(empty_id->securemode == 0);
    CHECK(empty_id->extended.at("_ss") == "1");

    const auto nothing = parse_client_id("x||");
    REQUIRE(nothing.has_value());
    CHECK(nothing->extended.empty());
}

TEST_CASE("[sign-6] client ids without sense are malformed") {
    for (const std::string_view text : {
             "",
             "plain",
             "one|bar",
             "x|securemode=2|tail",
             "x|novalue|",
             "x|=v|",
             "x|securemode=two|",
             "x|signmethod=crc32|",
             "x|a=1,a=2|",
             "x|securemode=99999999999999|",
         }) {
        CAPTURE(text);
        const auto parsed = parse_client_id(text);
        REQUIRE_FALSE(parsed.has_value());
        CHECK(parsed.error().code == Errc::malformed);
    }
}

TEST_CASE("[sign-7] a client id has 1,024 bytes and 32 parameters at most") {
    CHECK(parse_client_id(std::string(1'022, 'c') + "||").has_value());
    CHECK_FALSE(parse_client_id(std::string(1'023, 'c') + "||").has_value());
    std::string text = "x|";
    for (int i = 0; i < 32; ++i)
        text += "k" + std::to_string(i) + "=v,";
    CHECK(parse_client_id(text + "|").has_value());
    CHECK_FALSE(parse_client_id(text + "more=v|").has_value());
}

TEST_CASE("[sign-8] a user name is device name and product key") {
    const auto good = parse_username("dev@1:x&a1EXAMPLE01");
    REQUIRE(good.has_value());
    CHECK(good->device_name == "dev@1:x");
    CHECK(good->product_key == "a1EXAMPLE01");
    for (const std::string_view text :
         {"", "&", "dev001", "dev001&", "&a1EXAMPLE01", "a&b&c", "dev/1&a1", "dev&a1_"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_username(text).has_value());
    }
}

TEST_CASE("[sign-9] sign methods are known in any letter case") {
    CHECK(parse_sign_method("hmacMd5").value() == Digest::md5);
    CHECK(parse_sign_method("HMACSHA1").value() == Digest::sha1);
    CHECK(parse_sign_method("hmacsha256").value() == Digest::sha256);
    CHECK(parse_sign_method("Sha256").value() == Digest::sha256);
    CHECK_FALSE(parse_sign_method("md5").has_value());
    CHECK_FALSE(parse_sign_method("").has_value());
}

TEST_CASE("[sign-10] a login that we make verifies when taken apart again") {
    const DeviceLogin login = make_login(device, device_secret, true, "gw-1", WallTime{1'763'690'000'000});
    const auto id = parse_client_id(login.client_id);
    REQUIRE(id.has_value());
    CHECK(id->securemode == 2);
    const auto who = parse_username(login.username);
    REQUIRE(who.has_value());
    CHECK(*who == device);
    CHECK(verify(login.password.reveal(), sign(id->method, device_secret, id->client_id, *who, id->timestamp))
    );
    CHECK(parse_client_id(make_login(device, device_secret, false, "", {}).client_id)->securemode == 3);
}
