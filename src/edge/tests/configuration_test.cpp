// A configuration as texts: its bytes, its file, its limits, what may be shown of it, and where it is looked
// for.

#include "base/hash.h"
#include "base/tests/temporary_folder.h"
#include "edge/startup.h"
#include "io/posix_disk.h"
#include "io/sim/sim_disk.h"

#include "support_model.h"

#include <algorithm>
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

using namespace brim;
using namespace brim::edge;

namespace {

ConfigTexts sample_texts() {
    ConfigTexts texts;
    texts.settings = {"/etc/edge.toml", "/etc/conf.d/a.toml"};
    texts.environment = {{"BRIM_LOG__LEVEL", "debug"}, {"BRIM_LOG__FORMAT", ""}};
    texts.sets = {"uplink.inflight=7", "a\nb=c"};
    texts.files = {
        {"/etc/edge.toml", "[log]\n"}, {"/etc/conf.d/a.toml", ""}, {"/etc/p.json", "{\"a\":\"\xff\"}"}
    };
    texts.secret = Secret("s3cret\n");
    return texts;
}

bool same(const ConfigTexts& a, const ConfigTexts& b) {
    return encode_texts(a) == encode_texts(b) && a.settings == b.settings && a.environment == b.environment &&
           a.sets == b.sets && a.files == b.files && a.secret.has_value() == b.secret.has_value();
}

struct Folder : testing::TemporaryFolder {
    std::string operator/(const char* name) const { return (path() / name).string(); }

    void write(const char* name, std::string_view text, mode_t mode = 0600) const {
        std::ofstream(path() / name, std::ios::binary) << text;
        REQUIRE(::chmod((*this / name).c_str(), mode) == 0);
    }
};

/// Settings on the machine with one driver; the secret is in a file.
std::string machine_toml(const Folder& folder) {
    return "[edge]\ndata_dir = \"" + (folder / "data") + "\"\n[identity]\nproduct_key = \"a1GATE\"\n" +
           "device_name = \"gate-1\"\ndevice_secret = \"file:" + (folder / "secret") +
           "\"\n[uplink]\nurl = \"mqtt://127.0.0.1\"\n[[driver]]\nname = \"pumps\"\nprogram = "
           "\"/bin/true\"\n" +
           "config_file = \"" + (folder / "pumps.json") + "\"\nmodels_dir = \"" + folder.path().string() +
           "\"\n";
}

constexpr std::string_view pumps_json =
    R"({"config":{"broker":{"Password":"hidden-1"},"port":7},"deviceList":[{"productKey":"a1PUMP",)"
    R"("deviceName":"pump-1","deviceSecret":"hidden-2","custom":"{\"apiKey\":\"hidden-3\",\"unit\":4}"}]})";

void write_machine(const Folder& folder) {
    folder.write("edge.toml", machine_toml(folder));
    folder.write("secret", "hidden-4\n");
    folder.write("pumps.json", pumps_json);
    folder.write("a1PUMP.json", test::pump_tsl);
}

} // namespace

TEST_CASE("texts become bytes and the same texts again, whatever is in them") {
    const ConfigTexts texts = sample_texts();
    const auto back = decode_texts(encode_texts(texts));
    REQUIRE(back.has_value());
    CHECK(same(texts, *back));
    CHECK(back->secret->reveal() == "s3cret\n");
    rc::check([](const std::vector<std::string>& settings,
                 const std::map<std::string, std::string>& files,
                 const std::map<std::string, std::string>& environment,
                 const std::vector<std::string>& sets) {
        const ConfigTexts any{settings, environment, sets, files, std::nullopt};
        const auto again = decode_texts(encode_texts(any));
        RC_ASSERT(again.has_value());
        RC_ASSERT(same(any, *again));
    });
}

TEST_CASE("every change of the texts changes the revision") {
    std::set<std::string> revisions{revision_of(encode_texts(sample_texts()))};
    const auto add = [&](auto change) {
        ConfigTexts texts = sample_texts();
        change(texts);
        revisions.insert(revision_of(encode_texts(texts)));
    };
    add([](ConfigTexts& texts) { texts.files["/etc/p.json"] += " "; });
    add([](ConfigTexts& texts) { std::swap(texts.settings[0], texts.settings[1]); });
    add([](ConfigTexts& texts) { texts.environment["BRIM_LOG__LEVEL"] = "info"; });
    add([](ConfigTexts& texts) { texts.sets.pop_back(); });
    add([](ConfigTexts& texts) { texts.secret.reset(); });
    CHECK(revisions.size() == 6);
    CHECK(revisions.begin()->size() == 16);
}

TEST_CASE("a file cut anywhere or with any bit changed is corrupt, never taken and never newer") {
    const Bytes file = encode_applied(sample_texts(), WallTime{1'795'219'200'000});
    const auto whole = decode_applied(file);
    REQUIRE(whole.has_value());
    CHECK(same(whole->texts, sample_texts()));
    CHECK(whole->at.ms == 1'795'219'200'000);
    CHECK(whole->revision == revision_of(encode_texts(sample_texts())));
    for (std::size_t size = 0; size < file.size(); ++size) {
        const auto cut = decode_applied(ByteView(file).substr(0, size));
        REQUIRE_FALSE(cut.has_value());
        REQUIRE(cut.error().code == Errc::corrupt);
    }
    for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
        Bytes changed = file;
        changed[bit / 8] =
            static_cast<char>(static_cast<unsigned char>(changed[bit / 8]) ^ (1U << (bit % 8)));
        const auto read = decode_applied(changed);
        REQUIRE_FALSE(read.has_value());
        REQUIRE(read.error().code == Errc::corrupt);
    }
    CHECK_FALSE(decode_applied(file + "\n").has_value());
}

TEST_CASE("at most nine damaged files are kept, the last one replaced") {
    io::SimDisk disk(1);
    REQUIRE(disk.make_dir("/data"));
    AppliedFile file(disk, "/data");
    for (unsigned number = 1; number <= AppliedFile::quarantined_max + 1; ++number) {
        disk.put_file("/data/config.applied", "damage " + std::to_string(number));
        const auto loaded = file.load();
        REQUIRE_FALSE(loaded.has_value());
        CHECK(loaded.error().code == Errc::corrupt);
        CHECK_FALSE(file.exists());
    }
    CHECK(disk.content("/data/config.applied.quarantine-1") == "damage 1");
    CHECK(disk.content("/data/config.applied.quarantine-8") == "damage 8");
    CHECK(disk.content("/data/config.applied.quarantine-9") == "damage 10");
    disk.put_file("/data/config.applied", "damage 11");
    CHECK_FALSE(file.read().has_value()); // looking moves nothing
    CHECK(file.exists());
}

TEST_CASE("limits of a configuration's files hold on both sides") {
    io::SimDisk disk(1);
    disk.put_file("/a", "12345");
    disk.put_file("/b", "123456");
    disk.put_file("/c", "");
    ReadSet two(disk, {.files_max = 2, .bytes_max = 11});
    CHECK(io::read_file(two, "/a", 100).has_value());
    CHECK(io::read_file(two, "/b", 100).value() == "123456"); // eleven bytes in all
    CHECK(io::read_file(two, "/a", 100).has_value());         // again: no third file
    CHECK(io::read_file(two, "/c", 100).error().code == Errc::too_large);
    ReadSet ten(disk, {.files_max = 3, .bytes_max = 10});
    CHECK(io::read_file(ten, "/a", 100).has_value());
    CHECK(io::read_file(ten, "/b", 100).error().code == Errc::too_large);
    CHECK(io::read_file(ten, "/c", 100).has_value());
    CHECK(io::read_file(ten, "/a", 5).has_value());
    CHECK(io::read_file(ten, "/a", 4).error().code == Errc::too_large);
    CHECK(io::write_file_atomically(ten, "/a", "x").error().code == Errc::denied);
    ReadSet kept(ten.files());
    CHECK(kept.exists("/a"));
    CHECK_FALSE(kept.exists("/b"));
    CHECK(io::read_file(kept, "/b", 100).error().code == Errc::not_found);
}

TEST_CASE("a file that changes while a configuration is read is read once") {
    io::SimDisk disk(1);
    disk.put_file("/model", "old");
    ReadSet set(disk);
    CHECK(io::read_file(set, "/model", 10).value() == "old");
    disk.put_file("/model", "new");
    CHECK(io::read_file(set, "/model", 10).value() == "old");
}

TEST_CASE("256 settings files are read, one more is refused") {
    ::setenv("EDGE_TEST_SECRET", "s3cret", 1);
    io::SimDisk disk(1);
    disk.put_file(
        "/etc/edge.toml",
        "[identity]\nproduct_key=\"a1GATE\"\ndevice_name=\"gate-1\"\ndevice_secret=\"env:EDGE_TEST_SECRET\"\n"
        "[uplink]\nurl=\"mqtt://127.0.0.1\"\n"
    );
    for (int i = 0; i < 255; ++i)
        disk.put_file("/etc/conf.d/" + std::to_string(i) + ".toml", "");
    disk.put_file("/etc/conf.d/notes.txt", "no settings");
    const ConfigSource source{.file = "/etc/edge.toml", .environment = {}, .sets = {}};
    CHECK(read_configuration(disk, source).has_value());
    disk.put_file("/etc/conf.d/more.toml", "");
    CHECK(read_configuration(disk, source).error().code == Errc::too_large);
}

TEST_CASE("on the machine: kept with mode 0600, with the secret's file, and run on when all files are gone") {
    const Folder folder;
    write_machine(folder);
    io::PosixDisk disk;
    const ConfigSource source{.file = folder / "edge.toml", .environment = {}, .sets = {}};
    std::string revision;
    {
        const auto started = prepare_start(disk, source, WallTime{5});
        if (!started)
            FAIL(started.error().text());
        CHECK(started->state.from_files);
        revision = started->state.revision;
    }
    struct stat facts{};
    REQUIRE(::stat((folder / "data/config.applied").c_str(), &facts) == 0);
    CHECK((facts.st_mode & 07777) == 0600);
    // The secret first: a model alone that is not there is a change of the configuration, not a damage.
    for (const char* gone : {"secret", "pumps.json", "a1PUMP.json"}) {
        CAPTURE(gone);
        std::filesystem::remove(folder.path() / gone);
        const auto fallen = prepare_start(disk, source, WallTime{9});
        if (!fallen)
            FAIL(fallen.error().text());
        CHECK_FALSE(fallen->state.from_files);
        CHECK(fallen->state.revision == revision);
        CHECK(fallen->state.applied_at.ms == 5);
        CHECK(fallen->configuration.settings.gateway_secret.reveal() == "hidden-4");
        CHECK(fallen->configuration.drivers.at(0).devices.at(0).model != nullptr);
    }
    write_machine(folder);
    folder.write("secret", "hidden-4\n", 0644); // others may read it: refused, so not run on
    const auto denied = prepare_start(disk, source, WallTime{9});
    REQUIRE(denied.has_value());
    CHECK_FALSE(denied->state.from_files);
    CHECK(denied->state.error->code == Errc::denied);
}

TEST_CASE("what is shown of an applied configuration holds no secret") {
    const Folder folder;
    write_machine(folder);
    io::PosixDisk disk;
    const auto read = read_configuration(disk, {.file = folder / "edge.toml", .environment = {}, .sets = {}});
    REQUIRE(read.has_value());
    const auto shown = show_masked(read->texts);
    REQUIRE(shown.has_value());
    CHECK(shown->find("hidden-") == std::string::npos);
    CHECK(shown->find("\"port\": 7") != std::string::npos);
    CHECK(shown->find("\\\"unit\\\":4") != std::string::npos);
    CHECK(shown->find("product_key = \"a1GATE\"") != std::string::npos);
    CHECK(shown->find("# file " + (folder / "a1PUMP.json")) != std::string::npos);
}

TEST_CASE("the data folder of broken files: --set, environment, what the file still says, the default") {
    io::SimDisk disk(1);
    disk.put_file("/etc/edge.toml", "[edge]\ndata_dir = \"/mine\"\n[uplink]\nurl = \n");
    ConfigSource source{.file = "/etc/edge.toml", .environment = {}, .sets = {}};
    CHECK(find_data_dir(disk, source) == "/mine");
    source.environment = {{"BRIM_EDGE__DATA_DIR", "/env"}};
    CHECK(find_data_dir(disk, source) == "/env");
    source.sets = {"edge.data_dir=/set"};
    CHECK(find_data_dir(disk, source) == "/set");
    disk.put_file("/etc/edge.toml", "[edge]\ndata_dir = \"/mi");
    CHECK(
        find_data_dir(disk, {.file = "/etc/edge.toml", .environment = {}, .sets = {}}) == "/var/lib/brim-edge"
    );
    CHECK(find_data_dir(disk, {.file = "/gone.toml", .environment = {}, .sets = {}}) == "/var/lib/brim-edge");
}

TEST_CASE("what was applied for another data folder is not run on") {
    const Folder folder;
    write_machine(folder);
    io::PosixDisk disk;
    const ConfigSource source{.file = folder / "edge.toml", .environment = {}, .sets = {}};
    REQUIRE(prepare_start(disk, source, WallTime{5}).has_value());
    std::filesystem::rename(folder.path() / "data", folder.path() / "other");
    std::filesystem::remove(folder.path() / "pumps.json");
    const auto moved = prepare_start(
        disk,
        {.file = folder / "edge.toml", .environment = {}, .sets = {"edge.data_dir=" + (folder / "other")}},
        WallTime{9}
    );
    REQUIRE_FALSE(moved.has_value());
    CHECK(moved.error().code == Errc::invalid);
    CHECK(moved.error().cause.find("it was applied for") != std::string::npos);
}

TEST_CASE("each setting but the drivers and what the uplink trusts needs a start, and is named") {
    ::setenv("EDGE_TEST_SECRET", "s3cret", 1);
    ::setenv("EDGE_TEST_OTHER_SECRET", "other", 1);
    std::vector<std::string> base{
        "identity.product_key=a1GATE",
        "identity.device_name=gate-1",
        "identity.device_secret=env:EDGE_TEST_SECRET",
        "uplink.url=mqtt://127.0.0.1",
    };
    io::SimDisk disk(1);
    disk.put_file("/p.json", "{}");
    const auto read = [&](std::vector<std::string> more) {
        auto sets = base;
        sets.insert(sets.end(), more.begin(), more.end());
        auto out = read_configuration(disk, {.file = {}, .environment = {}, .sets = sets});
        if (!out)
            FAIL(out.error().text());
        return out->settings;
    };
    const EdgeConfig before = read({});
    CHECK(needing_start(before, read({})).empty());
    CHECK(needing_start(
              before, read({"driver[0].name=p", "driver[0].program=/p", "driver[0].config_file=/p.json"})
    )
              .empty());
    const std::map<std::string, std::string> changes{
        {"edge.data_dir", "/x"},
        {"edge.transport_loops", "2"},
        {"identity.product_key", "a1B"},
        {"identity.device_name", "b"},
        {"identity.device_secret", "env:EDGE_TEST_OTHER_SECRET"},
        {"uplink.url", "mqtt://127.0.0.1:1"},
        {"uplink.keepalive", "31s"},
        {"uplink.backoff_min", "2s"},
        {"uplink.backoff_max", "3m"},
        {"uplink.inflight", "9"},
        {"uplink.replay_rate", "9"},
        {"uplink.replay_share", "9"},
        {"buffer.bytes_max", "2GiB"},
        {"buffer.segment_bytes", "4MiB"},
        {"buffer.when_full", "reject"},
        {"bus.socket", "unix:/b"},
        {"http.listen", "tcp:127.0.0.1:1"},
        {"supervisor.crashes_max", "9"},
        {"supervisor.crash_window", "9m"},
        {"log.level", "warn"},
        {"log.format", "json"},
    };
    for (const auto& [key, value] : changes) {
        CAPTURE(key);
        CHECK(needing_start(before, read({key + "=" + value})) == std::vector{key});
    }
    // The broker's, each with a value that is not its default.
    std::size_t of_broker = 0;
    for (const ConfigKey& key : broker::broker_keys()) {
        if (key.name.find("[]") != std::string::npos)
            continue;
        ++of_broker;
        CAPTURE(key.name);
        const std::string value = key.type == ConfigType::boolean    ? "false"
                                  : key.type == ConfigType::integer  ? "7"
                                  : key.type == ConfigType::size     ? "4KiB"
                                  : key.type == ConfigType::duration ? "33s"
                                  : key.type == ConfigType::choice   ? key.choices.at(1)
                                  : key.type == ConfigType::list     ? "ES256"
                                                                     : "x";
        std::vector<std::string> sets{key.name + "=" + value};
        if (key.name == "broker.token_key_file")
            sets.emplace_back("broker.token_algorithms=ES256");
        CHECK(std::ranges::count(needing_start(before, read(sets)), key.name) == 1);
    }
    const std::vector<std::string> listener{
        "listener[0].address=127.0.0.1:1883", "broker.acl_file=x", "broker.users_file=x"
    };
    CHECK(needing_start(before, read(listener)).size() > listener.size());
    const std::set<std::string> taken_at_once{
        "edge.insecure_plain", "uplink.alpn", "uplink.ca_file", "uplink.crl_file", "uplink.insecure_plain"
    };
    CHECK(needing_start(before, read({"uplink.ca_file=/ca", "uplink.crl_file=/crl"})).empty());
    std::size_t known = 0; // a setting added later must be compared as well
    for (const ConfigKey& key : edge_schema())
        known += key.name.find("[]") == std::string::npos && !taken_at_once.contains(key.name) ? 1 : 0;
    CHECK(known == changes.size() + of_broker);
}
