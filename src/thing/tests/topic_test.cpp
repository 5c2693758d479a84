#include "thing/envelope.h"

#include <doctest/doctest.h>

using namespace brim::thing;

namespace {

struct Row {
    std::string_view topic;
    TopicKind kind;
    std::string_view product_key, device_name, name;
};

constexpr Row rows[] = {
    {"/sys/pk/dn/thing/event/property/post", TopicKind::property_post, "pk", "dn", ""},
    {"/sys/pk/dn/thing/event/property/post_reply", TopicKind::other_sys, "pk", "dn", ""},
    {"/sys/pk/dn/thing/event/property/history/post", TopicKind::history_post, "pk", "dn", ""},
    {"/sys/pk/dn/thing/event/property/pack/post", TopicKind::pack_post, "pk", "dn", ""},
    {"/sys/pk/dn/thing/event/property/batch/post", TopicKind::batch_post, "pk", "dn", ""},
    {"/sys/pk/dn/thing/event/alarm/post", TopicKind::event_post, "pk", "dn", "alarm"},
    {"/sys/pk/dn/thing/event/block:alarm/post", TopicKind::event_post, "pk", "dn", "block:alarm"},
    {"/sys/pk/dn/thing/event//post", TopicKind::other_sys, "pk", "dn", ""},
    {"/sys/pk/dn/thing/event/+/post", TopicKind::other_sys, "pk", "dn", ""},
    {"/sys/pk/dn/thing/service/property/set", TopicKind::property_set, "pk", "dn", ""},
    {"/sys/pk/dn/thing/service/property/set_reply", TopicKind::set_reply, "pk", "dn", ""},
    {"/sys/pk/dn/thing/service/property/get", TopicKind::property_get, "pk", "dn", ""},
    {"/sys/pk/dn/thing/service/property/get_reply", TopicKind::get_reply, "pk", "dn", ""},
    {"/sys/pk/dn/thing/service/reboot", TopicKind::service, "pk", "dn", "reboot"},
    {"/sys/pk/dn/thing/service/reboot_reply", TopicKind::service_reply, "pk", "dn", "reboot"},
    {"/sys/pk/dn/thing/service/_reply", TopicKind::service, "pk", "dn", "_reply"},
    {"/sys/+/+/thing/service/#", TopicKind::other_sys, "+", "+", ""},
    {"/sys/pk/dn/thing/property/desired/get", TopicKind::desired_get, "pk", "dn", ""},
    {"/sys/pk/dn/thing/property/desired/delete", TopicKind::desired_delete, "pk", "dn", ""},
    {"/sys/pk/dn/thing/deviceinfo/update", TopicKind::tags_update, "pk", "dn", ""},
    {"/sys/pk/dn/thing/deviceinfo/delete", TopicKind::tags_delete, "pk", "dn", ""},
    {"/sys/pk/dn/thing/dsltemplate/get", TopicKind::model_get, "pk", "dn", ""},
    {"/sys/pk/dn/thing/sub/register", TopicKind::sub_register, "pk", "dn", ""},
    {"/sys/pk/dn/thing/sub/unregister", TopicKind::sub_unregister, "pk", "dn", ""},
    {"/sys/pk/dn/thing/topo/add", TopicKind::topo_add, "pk", "dn", ""},
    {"/sys/pk/dn/thing/topo/delete", TopicKind::topo_delete, "pk", "dn", ""},
    {"/sys/pk/dn/thing/topo/get", TopicKind::topo_get, "pk", "dn", ""},
    {"/sys/pk/dn/thing/topo/add/notify", TopicKind::other_sys, "pk", "dn", ""},
    {"/sys/pk/dn/thing/list/found", TopicKind::list_found, "pk", "dn", ""},
    {"/sys/pk/dn/rrpc/response/12", TopicKind::rrpc_response, "pk", "dn", "12"},
    {"/sys/pk/dn/rrpc/request/12", TopicKind::other_sys, "pk", "dn", ""},
    {"/sys/pk/dn/rrpc/request/+", TopicKind::other_sys, "pk", "dn", ""},
    {"/sys/pk/dn/#", TopicKind::other_sys, "pk", "dn", ""},
    {"/sys/pk/#", TopicKind::other_sys, "pk", "#", ""},
    {"/sys/pk/dn", TopicKind::unknown, "", "", ""},
    {"/sys/pk//thing/event/property/post", TopicKind::unknown, "", "", ""},
    {"/sys//dn/thing/event/property/post", TopicKind::unknown, "", "", ""},
    {"/sys", TopicKind::unknown, "", "", ""},
    {"/ext/session/pk/dn/combine/login", TopicKind::combine_login, "pk", "dn", ""},
    {"/ext/session/pk/dn/combine/logout", TopicKind::combine_logout, "pk", "dn", ""},
    {"/ext/session/pk/dn/combine/batch_login", TopicKind::combine_batch_login, "pk", "dn", ""},
    {"/ext/session/pk/dn/combine/batch_logout", TopicKind::combine_batch_logout, "pk", "dn", ""},
    {"/ext/session/pk/dn/combine/login_reply", TopicKind::other_sys, "pk", "dn", ""},
    {"/ext/ntp/pk/dn/request", TopicKind::ntp_request, "pk", "dn", ""},
    {"/ext/ntp/pk/dn/response", TopicKind::other_sys, "pk", "dn", ""},
    {"/ext/error/pk/dn", TopicKind::other_sys, "pk", "dn", ""},
    {"/ext/rrpc/77/pk/dn/user/x", TopicKind::rrpc_response, "pk", "dn", "77"},
    {"/ext/rrpc/77/sys/pk/dn/thing/service/reboot", TopicKind::rrpc_response, "pk", "dn", "77"},
    {"/ext/rrpc/77", TopicKind::unknown, "", "", ""},
    {"/ext/rrpc//pk/dn/user/x", TopicKind::unknown, "", "", ""},
    {"/ext/network/probe/9", TopicKind::unknown, "", "", ""},
    {"/ota/device/inform/pk/dn", TopicKind::other_sys, "pk", "dn", ""},
    {"/ota/device/upgrade/pk", TopicKind::unknown, "", "", ""},
    {"/shadow/update/pk/dn", TopicKind::other_sys, "pk", "dn", ""},
    {"/shadow/get/pk/dn", TopicKind::other_sys, "pk", "dn", ""},
    {"/broadcast/pk/news", TopicKind::other_sys, "pk", "", ""},
    {"/broadcast/pk", TopicKind::unknown, "", "", ""},
    {"/pk/dn/user/get", TopicKind::custom, "pk", "dn", ""},
    {"/pk/dn/update", TopicKind::custom, "pk", "dn", ""},
    {"/pk/dn", TopicKind::unknown, "", "", ""},
    {"/pk", TopicKind::unknown, "", "", ""},
    {"//dn/user/get", TopicKind::unknown, "", "", ""},
    {"sys/pk/dn/thing/event/property/post", TopicKind::unknown, "", "", ""},
    {"#", TopicKind::unknown, "", "", ""},
    {"/", TopicKind::unknown, "", "", ""},
    {"", TopicKind::unknown, "", "", ""},
};

} // namespace

TEST_CASE("[topic-1] every topic of the device protocol has its meaning") {
    for (const Row& row : rows) {
        CAPTURE(row.topic);
        const DeviceTopic parsed = parse_topic(row.topic);
        CHECK(static_cast<int>(parsed.kind) == static_cast<int>(row.kind));
        CHECK(parsed.product_key == row.product_key);
        CHECK(parsed.device_name == row.device_name);
        CHECK(parsed.name == row.name);
    }
}

TEST_CASE("[topic-2] product keys and device names have their alphabets and lengths") {
    CHECK(valid_product_key("a1EXAMPLE01"));
    CHECK(valid_product_key(std::string(20, 'a')));
    CHECK_FALSE(valid_product_key(std::string(21, 'a')));
    CHECK_FALSE(valid_product_key(""));
    CHECK_FALSE(valid_product_key("a1-b"));
    CHECK(valid_device_name("dev-1_2@3.4:5"));
    CHECK(valid_device_name(std::string(32, 'd')));
    CHECK_FALSE(valid_device_name(std::string(33, 'd')));
    CHECK_FALSE(valid_device_name(""));
    for (const std::string_view bad : {"a/b", "a b", "a+b", "a#", "\xc3\xa4"})
        CHECK_FALSE(valid_device_name(bad));
}

TEST_CASE("[topic-3] a device key has one text form") {
    const auto key = DeviceKey::parse("a1EXAMPLE01/dev001");
    REQUIRE(key.has_value());
    CHECK(key->text() == "a1EXAMPLE01/dev001");
    CHECK(
        sys_topic(*key, "thing/event/property/post") == "/sys/a1EXAMPLE01/dev001/thing/event/property/post"
    );
    for (const std::string_view bad : {"", "/", "a", "a/", "/b", "a/b/c", "a b/c"}) {
        CHECK_FALSE(DeviceKey::parse(bad).has_value());
    }
}
