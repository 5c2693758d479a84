#include "base/config.h"

#include "base/internal/config_files.h"
#include "base/internal/config_loader.h"
#include "base/tests/temporary_folder.h"

#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <rapidcheck.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

using namespace brim;

namespace {

const std::vector<ConfigKey>& sample_schema() {
    using Type = ConfigType;
    static const std::vector<ConfigKey> schema{
        {"hub.data_dir", Type::text, "/var/lib/brim", "Folder of all data."},
        {"hub.token", Type::secret, "", "Token of the far side."},
        {"hub.ratio", Type::number, 0.5, "Share of memory.", 0, 1},
        {"hub.verbose", Type::boolean, false, "Say more."},
        {"hub.tags", Type::list, std::vector<std::string>{"a", "b"}, "Labels."},
        {"mqtt.keepalive", Type::duration, "30s", "Keep-alive.", 1'000, 60'000},
        {"mqtt.linger", Type::duration, std::int64_t{1'500}, "Linger."},
        {"mqtt.packet_bytes_max", Type::size, "256KiB", "Largest packet.", 1'024, 16'777'216},
        {"mqtt.queue_max", Type::integer, std::int64_t{100}, "Queue.", 1, 1'000},
        {"mqtt.quota", Type::size, "", "Quota; empty = none.", 1'024},
        {"log.level", Type::choice, "info", "Least level.", INT64_MIN, INT64_MAX, {"debug", "info", "warn"}},
        {"listener[].protocol", Type::choice, "mqtt", "Protocol.", INT64_MIN, INT64_MAX, {"mqtt", "http"}},
        {"listener[].address", Type::text, "", "Address."},
    };
    return schema;
}

class Folder {
public:
    std::string write(const std::string& name, const std::string& text) const {
        const auto file = folder_.path() / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << text;
        return file.string();
    }

    std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

private:
    testing::TemporaryFolder folder_;
};

Result<Config> load_text(const std::string& text, ConfigSource source = {}) {
    const Folder folder;
    source.file = folder.write("brim.toml", text);
    return Config::load(sample_schema(), source);
}

/// The problems, with the folder of the file taken away.
std::vector<std::string> problems(const Result<Config>& loaded) {
    REQUIRE_FALSE(loaded);
    std::vector<std::string> out;
    std::istringstream in(loaded.error().cause);
    for (std::string line; std::getline(in, line);) {
        const std::size_t file = line.find("brim.toml");
        out.push_back(file == std::string::npos ? line : line.substr(file));
    }
    return out;
}

std::string problem(const Result<Config>& loaded) {
    const auto all = problems(loaded);
    REQUIRE_MESSAGE(all.size() == 1, loaded.error().cause);
    return all[0];
}

} // namespace

TEST_CASE("without any source every key has its default") {
    const auto config = Config::load(sample_schema(), {});
    REQUIRE_MESSAGE(config, config.error().cause);
    CHECK(config->text("hub.data_dir") == "/var/lib/brim");
    CHECK(config->number("hub.ratio") == 0.5);
    CHECK_FALSE(config->boolean("hub.verbose"));
    CHECK(config->list("hub.tags") == std::vector<std::string>{"a", "b"});
    CHECK(config->duration("mqtt.keepalive") == 30s);
    CHECK(config->duration("mqtt.linger") == 1'500ms);
    CHECK(config->size("mqtt.packet_bytes_max") == 262'144);
    CHECK(config->integer("mqtt.queue_max") == 100);
    CHECK(config->text("log.level") == "info");
    CHECK(config->secret("hub.token")->empty());
    CHECK(config->size("mqtt.quota") == 0);
    CHECK(config->count("listener") == 0);
}

TEST_CASE("a file sets every type, and table array items get their defaults") {
    const auto config = load_text(R"(
[hub]
data_dir = "/data"
ratio = 1
verbose = true
tags = ["x"]
[mqtt]
keepalive = "1m"
packet_bytes_max = 2048
queue_max = 7
[log]
level = "warn"
[[listener]]
address = "127.0.0.1:1883"
[[listener]]
protocol = "http"
)");
    REQUIRE_MESSAGE(config, config.error().cause);
    CHECK(config->text("hub.data_dir") == "/data");
    CHECK(config->number("hub.ratio") == 1.0);
    CHECK(config->boolean("hub.verbose"));
    CHECK(config->list("hub.tags") == std::vector<std::string>{"x"});
    CHECK(config->duration("mqtt.keepalive") == 1min);
    CHECK(config->size("mqtt.packet_bytes_max") == 2'048);
    CHECK(config->integer("mqtt.queue_max") == 7);
    CHECK(config->text("log.level") == "warn");
    REQUIRE(config->count("listener") == 2);
    CHECK(config->text(Config::item("listener", 0, "address")) == "127.0.0.1:1883");
    CHECK(config->text(Config::item("listener", 0, "protocol")) == "mqtt");
    CHECK(config->text(Config::item("listener", 1, "address")) == "");
    CHECK(config->text(Config::item("listener", 1, "protocol")) == "http");
}

TEST_CASE("later sources win: file, conf.d in order of name, environment, --set") {
    const Folder folder;
    ConfigSource source;
    source.file = folder.write(
        "brim.toml",
        "[mqtt]\nqueue_max = 1\nkeepalive = \"1s\"\nlinger = \"1s\"\n[hub]\ndata_dir = \"main\"\n"
    );
    folder.write(
        "conf.d/20-b.toml", "[mqtt]\nkeepalive = \"3s\"\nlinger = \"3s\"\n[hub]\ndata_dir = \"b\"\n"
    );
    folder.write("conf.d/10-a.toml", "[mqtt]\nkeepalive = \"2s\"\n");
    folder.write("conf.d/30-ignored.txt", "this is no TOML");
    source.environment = {
        {"BRIM_MQTT__LINGER", "4s"}, {"BRIM_HUB__DATA_DIR", "env"}, {"BRIM_HOME", "/"}, {"PATH", "/bin"}
    };
    source.sets = {"hub.data_dir=set"};
    const auto config = Config::load(sample_schema(), source);
    REQUIRE_MESSAGE(config, config.error().cause);
    CHECK(config->integer("mqtt.queue_max") == 1);
    CHECK(config->duration("mqtt.keepalive") == 3s);
    CHECK(config->duration("mqtt.linger") == 4s);
    CHECK(config->text("hub.data_dir") == "set");
    const std::string shown = config->show_effective();
    CHECK(shown.find("queue_max = 1  # " + source.file + ":2\n") != std::string::npos);
    CHECK(
        shown.find("keepalive = \"3s\"  # " + folder.path("conf.d/20-b.toml") + ":2\n") != std::string::npos
    );
    CHECK(shown.find("linger = \"4s\"  # environment\n") != std::string::npos);
    CHECK(shown.find("data_dir = \"set\"  # --set\n") != std::string::npos);
    CHECK(shown.find("verbose = false  # default\n") != std::string::npos);
}

TEST_CASE("table array items of later files follow, and are changed or added by index") {
    const Folder folder;
    ConfigSource source;
    source.file = folder.write("brim.toml", "[[listener]]\naddress = \"a\"\n");
    folder.write("conf.d/1.toml", "[[listener]]\naddress = \"b\"\n[[listener]]\naddress = \"c\"\n");
    source.environment = {{"BRIM_LISTENER__1__ADDRESS", "B"}, {"BRIM_LISTENER__3__PROTOCOL", "http"}};
    source.sets = {"listener[4].address=e"};
    const auto config = Config::load(sample_schema(), source);
    REQUIRE_MESSAGE(config, config.error().cause);
    REQUIRE(config->count("listener") == 5);
    const std::vector<std::string> expected{"a", "B", "c", "", "e"};
    for (std::size_t i = 0; i < 5; ++i)
        CHECK(config->text(Config::item("listener", i, "address")) == expected[i]);
    CHECK(config->text("listener[3].protocol") == "http");
    CHECK(config->text("listener[4].protocol") == "mqtt");

    source.sets = {"listener[9].address=x"};
    CHECK(
        problem(Config::load(sample_schema(), source)).find("there are only 4 items; count from 0") !=
        std::string::npos
    );
}

TEST_CASE("an unknown key is an error with its place and the likely meaning") {
    CHECK(
        problem(load_text("[mqtt]\n  keepalife = \"30s\"\n")) ==
        "brim.toml:2:3: mqtt.keepalife: unknown key; did you mean \"keepalive\"?"
    );
    CHECK(
        problem(load_text("[hub]\nqueue_max = 5\n")) ==
        "brim.toml:2:1: hub.queue_max: unknown key; did you mean \"mqtt.queue_max\" in the other section?"
    );
    CHECK(
        problem(load_text("[log]\nzzzzzzzz = 5\n")) ==
        "brim.toml:2:1: log.zzzzzzzz: unknown key; the keys here are: level"
    );
    CHECK(
        problem(load_text("[[listener]]\naddres = \"x\"\n")) ==
        "brim.toml:2:1: listener[0].addres: unknown key; did you mean \"address\"?"
    );
    CHECK(problem(load_text("verbose = true\n")).find("did you mean \"hub.verbose\"") != std::string::npos);
}

TEST_CASE("the schema's name for every item is no setting: an override says which item it means") {
    const auto refused = [](const ConfigSource& source) {
        const auto config =
            Config::parse(sample_schema(), {{"brim.toml", "[[listener]]\naddress = \"a\"\n"}}, source);
        return config ? std::string("taken") : config.error().cause;
    };
    ConfigSource set;
    set.sets = {"listener[].address=x"};
    CHECK(
        refused(set) == "--set listener[].address: listener[].address: unknown section; name the item: "
                        "listener[0] is the first one"
    );
    ConfigSource variable;
    variable.environment = {{"BRIM_LISTENER[]__ADDRESS", "x"}};
    CHECK(refused(variable).contains("unknown section"));
}

TEST_CASE("an unknown section is told once, with the likely meaning") {
    CHECK(
        problem(load_text("[mqqt]\nkeepalive = \"30s\"\nqueue_max = 1\n")) ==
        "brim.toml:1:2: mqqt: unknown section; did you mean [mqtt]?"
    );
    CHECK(
        problem(load_text("[listener]\naddress = \"x\"\n")).find("write [[listener]] with two brackets") !=
        std::string::npos
    );
    CHECK(
        problem(load_text("[[mqtt]]\nqueue_max = 1\n")).find("write [mqtt] with one bracket") !=
        std::string::npos
    );
    CHECK(
        problem(load_text("[[lisener]]\nx = 1\n[[lisener]]\nx = 1\n")).find("did you mean [[listener]]?") !=
        std::string::npos
    );
    CHECK(problem(load_text("[empty_one]\n")).find("unknown section") != std::string::npos);
    CHECK(problem(load_text("[mqtt.deeper]\nx = 1\n")).find("unknown section") != std::string::npos);
}

TEST_CASE("all problems of all sources are told at once") {
    const Folder folder;
    ConfigSource source;
    source.file =
        folder.write("brim.toml", "[mqtt]\nqueue_max = 0\nkeepalive = 30\n[log]\nlevel = \"wran\"\n");
    folder.write("conf.d/a.toml", "[hub\n");
    source.environment = {{"BRIM_MQTT__QEUE_MAX", "5"}};
    source.sets = {"hub.verbose=yes", "hub.ratio"};
    const auto loaded = Config::load(sample_schema(), source);
    const auto all = problems(loaded);
    REQUIRE_MESSAGE(all.size() == 7, loaded.error().cause);
    CHECK(loaded.error().code == Errc::invalid);
    CHECK(all[0] == "brim.toml:2:1: mqtt.queue_max: 0 is too small; choose 1 to 1000");
    CHECK(all[1].starts_with("brim.toml:3:1: mqtt.keepalive: a duration needs a unit; write it with a unit"));
    CHECK(
        all[2] == "brim.toml:5:1: log.level: \"wran\" is not known here; did you mean \"warn\"? choose one "
                  "of: debug, info, warn"
    );
    CHECK(all[3].find("a.toml:1:") != std::string::npos);
    CHECK(all[4] == "BRIM_MQTT__QEUE_MAX: mqtt.qeue_max: unknown key; did you mean \"queue_max\"?");
    CHECK(all[5].starts_with("--set: no value"));
    CHECK(all[6] == "--set hub.verbose: hub.verbose: \"yes\" is not true or false; write true or false");
}

TEST_CASE("at most 50 problems are told, the others are counted") {
    std::string text = "[mqtt]\n";
    for (int i = 0; i < 60; ++i)
        text += "wrong" + std::to_string(i) + " = 1\n";
    const auto all = problems(load_text(text));
    CHECK(all.size() == 51);
    CHECK(all.back() == "and 10 more");
}

TEST_CASE("each range holds on both sides, in every source") {
    const auto ok = [](const std::string& set) {
        ConfigSource source;
        source.sets = {set};
        return Config::load(sample_schema(), source).has_value();
    };
    for (const char* good :
         {"mqtt.queue_max=1",
          "mqtt.queue_max=1000",
          "mqtt.keepalive=1s",
          "mqtt.keepalive=60s",
          "mqtt.keepalive=1m",
          "mqtt.packet_bytes_max=1KiB",
          "mqtt.packet_bytes_max=16MiB",
          "mqtt.packet_bytes_max=1024",
          "hub.ratio=0",
          "hub.ratio=1",
          "mqtt.linger=0s",
          "mqtt.linger=100000d",
          "hub.tags=",
          "hub.tags=a, b,c"}) {
        CAPTURE(std::string(good));
        CHECK(ok(good));
    }
    for (const char* bad :
         {"mqtt.queue_max=0",
          "mqtt.queue_max=1001",
          "mqtt.queue_max=1x",
          "mqtt.queue_max=",
          "mqtt.keepalive=999ms",
          "mqtt.keepalive=61s",
          "mqtt.keepalive=30",
          "mqtt.keepalive=1.5s",
          "mqtt.keepalive=-1s",
          "mqtt.keepalive=",
          "mqtt.keepalive=s",
          "mqtt.quota=1023",
          "mqtt.packet_bytes_max=1023",
          "mqtt.packet_bytes_max=16777217",
          "mqtt.packet_bytes_max=1KB",
          "mqtt.packet_bytes_max=-1",
          "mqtt.packet_bytes_max=99999999999TiB",
          "hub.ratio=1.01",
          "hub.ratio=nan",
          "hub.ratio=-0.1",
          "mqtt.linger=200000d",
          "log.level=",
          "log.level=INFO",
          "=x",
          "hub=1",
          ".=1",
          "hub.=1"}) {
        CAPTURE(std::string(bad));
        CHECK_FALSE(ok(bad));
    }
}

TEST_CASE("a value of the wrong type, a date, a mixed array and a quoted key are refused") {
    for (const char* bad :
         {"[hub]\ndata_dir = 5\n",
          "[hub]\nverbose = 1\n",
          "[mqtt]\nqueue_max = \"5\"\n",
          "[mqtt]\nqueue_max = 5.0\n",
          "[hub]\ntags = \"x\"\n",
          "[hub]\ntags = [1]\n",
          "[hub]\nratio = inf\n",
          "[hub]\ndata_dir = 2026-11-21\n",
          "[hub]\ndata_dir = { x = 1 }\n",
          "[hub]\n\"data.dir\" = 1\n",
          "\"listener[0]\" = { address = \"x\" }\n",
          "listener = [{ address = \"x\" }, \"y\"]\n",
          "[log]\nlevel = true\n",
          "[mqtt]\npacket_bytes_max = 1.0\n"}) {
        CAPTURE(std::string(bad));
        CHECK_FALSE(load_text(bad));
    }
    CHECK(load_text("listener = []\n"));
    CHECK(load_text("listener = [{ address = \"x\" }]\n")->text("listener[0].address") == "x");
}

TEST_CASE("a syntax error has line and column") {
    const std::string told = problem(load_text("[hub]\ndata_dir = \"open\n"));
    CHECK(told.starts_with("brim.toml:2:"));
    CHECK(told.ends_with("; correct the TOML syntax"));
    // toml++ 3.3.0 ends the process in these three, or has undefined behaviour, when left alone
    CHECK(problem(load_text("[hub]\nratio = 1.a\xCD\x91\n")).starts_with("brim.toml:2:"));
    CHECK(problem(load_text("[hub]\n[!x]\n")).starts_with("brim.toml:2:2: "));
    CHECK(problem(load_text("[mqtt.!]\n")).starts_with("brim.toml:1:"));
    for (const char* broken :
         {"[", "[[", "[ [a]]", "[]", "[[]]", "a", "a=", "=", "a=[", "a={", "a=\"\\u12\"", "a.\x01=1", "\xFF"
         }) {
        CAPTURE(std::string(broken));
        CHECK_FALSE(load_text(broken));
    }
}

TEST_CASE("a missing main file is not_found; a folder, a FIFO and a file above 1 MiB are refused") {
    const Folder folder;
    const auto missing =
        Config::load(sample_schema(), {.file = folder.path("none.toml"), .environment = {}, .sets = {}});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == Errc::not_found);
    CHECK_FALSE(Config::load(sample_schema(), {.file = folder.path(""), .environment = {}, .sets = {}}));
    const std::string fifo = folder.path("fifo.toml");
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    CHECK_FALSE(Config::load(sample_schema(), {.file = fifo, .environment = {}, .sets = {}}));
    CHECK(load_text(std::string(config_file_bytes_max, '\n')));
    const auto large = load_text(std::string(config_file_bytes_max + 1, '\n'));
    REQUIRE_FALSE(large);
    CHECK(large.error().code == Errc::too_large);
}

TEST_CASE("a table array has at most 1,000 items") {
    std::string text;
    for (std::size_t i = 0; i < config_items_max; ++i)
        text += "[[listener]]\n";
    CHECK(load_text(text)->count("listener") == config_items_max);
    CHECK(problem(load_text(text + "[[listener]]\n")).find("more than 1000 items") != std::string::npos);
}

TEST_CASE("a secret stands in a file, the environment or a credential, never in the configuration") {
    const Folder folder;
    const std::string file = folder.write("token", "s3cret\n");
    std::filesystem::permissions(file, std::filesystem::perms(0600));
    const auto secret = [&](const std::string& reference) {
        ConfigSource source;
        source.sets = {"hub.token=" + reference};
        return Config::load(sample_schema(), source)->secret("hub.token");
    };
    CHECK(secret("file:" + file)->reveal() == "s3cret");
    std::filesystem::permissions(file, std::filesystem::perms(0640));
    CHECK(secret("file:" + file)->reveal() == "s3cret");
    std::filesystem::permissions(file, std::filesystem::perms(0644));
    CHECK(secret("file:" + file).error().code == Errc::denied);
    CHECK(secret("file:" + folder.path("none")).error().code == Errc::not_found);
    const std::string empty = folder.write("empty", "\n");
    std::filesystem::permissions(empty, std::filesystem::perms(0600));
    CHECK(secret("file:" + empty).error().code == Errc::invalid);

    setenv("BRIM_TEST_SECRET", "from env", 1);
    CHECK(secret("env:BRIM_TEST_SECRET")->reveal() == "from env");
    unsetenv("BRIM_TEST_SECRET");
    CHECK(secret("env:BRIM_TEST_SECRET").error().code == Errc::not_found);

    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK(secret("cred:token").error().code == Errc::not_found);
    std::filesystem::permissions(file, std::filesystem::perms(0400));
    setenv("CREDENTIALS_DIRECTORY", folder.path("").c_str(), 1);
    CHECK(secret("cred:token")->reveal() == "s3cret");
    CHECK(secret("cred:../token").error().code == Errc::not_found);
    unsetenv("CREDENTIALS_DIRECTORY");
}

TEST_CASE("a secret in plain text is refused and not repeated") {
    const auto in_file = load_text("[hub]\ntoken = \"hunter2hunter2\"\n");
    CHECK(problem(in_file).find("a secret does not stand in the configuration itself") != std::string::npos);
    CHECK(in_file.error().text().find("hunter2") == std::string::npos);
    ConfigSource source;
    source.environment = {{"BRIM_HUB__TOKEN", "hunter2hunter2"}};
    const auto in_environment = Config::load(sample_schema(), source);
    REQUIRE_FALSE(in_environment);
    CHECK(in_environment.error().text().find("hunter2") == std::string::npos);
    CHECK_FALSE(load_text("[hub]\ntoken = \"file:\"\n"));
}

TEST_CASE("show_effective is TOML that gives the same settings again") {
    const auto part = rc::gen::element<std::string>(
        "a",
        "\"",
        "\\",
        "\n",
        "\r",
        "\t",
        "\x01",
        "\x7F",
        "#",
        "'",
        "  # ",
        "=",
        "\xC3\xA4",
        "\xF0\x9F\x98\x80"
    );
    CHECK(rc::check([&](std::uint16_t ms, std::uint8_t items) {
        std::string text;
        for (const std::string& one : *rc::gen::container<std::vector<std::string>>(part))
            text += one;
        ConfigSource source;
        source.sets = {"mqtt.linger=" + std::to_string(ms) + "ms", "hub.tags=x,y"};
        for (int i = 0; i < items % 13; ++i)
            source.sets.push_back("listener[" + std::to_string(i) + "].address=" + text);
        const auto first = Config::load(sample_schema(), source);
        RC_ASSERT(first);
        const auto again = load_text(first->show_effective());
        RC_ASSERT(again);
        RC_ASSERT(again->count("listener") == first->count("listener"));
        if (again->count("listener") > 0)
            RC_ASSERT(again->text("listener[0].address") == text);
        RC_ASSERT(again->duration("mqtt.linger") == first->duration("mqtt.linger"));
        const auto third = load_text(again->show_effective());
        RC_ASSERT(third);
        const auto values = [](const Config& config) {
            std::string out;
            std::istringstream in(config.show_effective());
            for (std::string line; std::getline(in, line);)
                out += line.substr(0, line.rfind("  # ")) + '\n';
            return out;
        };
        RC_ASSERT(values(*again) == values(*first));
        RC_ASSERT(values(*third) == values(*first));
    }));
}

TEST_CASE("the example is a file with all defaults, and loads with every line uncommented") {
    const std::string example = config_example(sample_schema());
    CHECK(load_text(example));
    CHECK(example.find("# Keep-alive. (1s to 1m)\n#keepalive = \"30s\"\n") != std::string::npos);
    CHECK(example.find("# Least level. (one of: debug, info, warn)\n") != std::string::npos);
    std::string all;
    std::istringstream in(example);
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with('#') && !line.starts_with("# "))
            line.erase(0, 1);
        all += line + '\n';
    }
    const auto loaded = load_text(all);
    REQUIRE_MESSAGE(loaded, loaded.error().cause);
    CHECK(loaded->count("listener") == 1);
    CHECK(loaded->duration("mqtt.linger") == 1'500ms);
}

TEST_CASE("texts read by somebody else are laid over each other as files are") {
    const std::vector<ConfigText> texts{
        {"a.toml", "[hub]\ndata_dir = \"/a\"\ntoken = \"file:/t\"\n[[listener]]\naddress = \"1\"\n"},
        {"b.toml", "[hub]\ndata_dir = \"/b\"\n[[listener]]\naddress = \"2\"\n"}
    };
    const ConfigSource over{.file = "/no/such/file", .environment = {}, .sets = {"hub.ratio=0.25"}};
    const auto parsed = Config::parse(sample_schema(), texts, over);
    REQUIRE_MESSAGE(parsed, parsed.error().cause);
    CHECK(parsed->text("hub.data_dir") == "/b");
    CHECK(parsed->reference("hub.token") == "file:/t");
    CHECK(parsed->number("hub.ratio") == 0.25);
    CHECK(parsed->count("listener") == 2);
    const auto wrong = Config::parse(sample_schema(), {{"a.toml", "[hub]\n\nnonsense = 1\n"}}, {});
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().cause.starts_with("a.toml:3:1: "));
}

TEST_CASE("one key can be seen in settings that are wrong elsewhere, or broken below it") {
    const auto seen = [](const std::string& text, ConfigSource over = {}) {
        return Config::glimpse(sample_schema(), {{"a.toml", text}}, over, "hub.data_dir").value_or("none");
    };
    const std::string good = "[hub]\ndata_dir = \"/a\"\n";
    CHECK(seen(good) == "/a");
    CHECK(seen(good + "nonsense = 1\n[mqtt]\nkeepalive = 7\n") == "/a");
    CHECK(seen(good + "ratio = \n") == "/a");
    CHECK(seen(good + "[[[") == "/a");
    CHECK(seen("[hub]\nratio = \n" + good) == "none"); // broken above it
    CHECK(seen("[hub]\ndata_dir = \"/a") == "none");   // torn within it
    CHECK(seen("[hub]\ndata_dir = 7\n") == "none");
    CHECK(seen("") == "none");
    CHECK(seen("\xff\xfe") == "none");
    CHECK(seen("=", {.file = {}, .environment = {{"BRIM_HUB__DATA_DIR", "/e"}}, .sets = {}}) == "/e");
    CHECK(seen(good, {.file = {}, .environment = {}, .sets = {"hub.data_dir=/s"}}) == "/s");
}

TEST_CASE("mistakes that only show together are told with their places, all at once") {
    const Folder folder;
    const std::string file = folder.write(
        "brim.toml",
        "[mqtt]\n  queue_max = 7\n[[listener]]\nprotocol = \"http\"\n[[listener]]\naddress = \"b\"\n"
    );
    ConfigSource source;
    source.file = file;
    source.environment = {{"BRIM_LOG__LEVEL", "warn"}, {"BRIM_LISTENER__2__ADDRESS", "c"}};
    source.sets = {"hub.ratio=1"};
    const auto config = Config::load(sample_schema(), source);
    REQUIRE_MESSAGE(config, config.error().cause);
    CHECK(config->is_set("mqtt.queue_max"));
    CHECK_FALSE(config->is_set("mqtt.quota"));
    CHECK(config->place("mqtt.queue_max") == file + ":2:3");
    CHECK(config->place("mqtt.quota") == file + ":1:2"); // nobody set it: where its section begins
    CHECK(config->place("hub.token") == file);           // no such section either
    CHECK(config->place("listener[0].address") == file + ":3:1");
    CHECK(config->place("listener[1].address") == file + ":6:1");
    CHECK(config->place("listener[1]") == file + ":5:1");
    CHECK(config->place("listener[2].protocol") == "BRIM_LISTENER__2__ADDRESS");
    CHECK(config->place("log.level") == "BRIM_LOG__LEVEL");
    CHECK(config->place("hub.ratio") == "--set hub.ratio");
    ConfigProblems found(*config);
    CHECK(found.empty());
    found.add("mqtt.queue_max", "is odd", "make it even");
    found.add("listener[1].address", "is b", "");
    REQUIRE_FALSE(found.empty());
    const Error error = found.error();
    CHECK(error.code == Errc::invalid);
    CHECK(error.object == "configuration");
    CHECK(
        error.cause ==
        file + ":2:3: mqtt.queue_max: is odd; make it even\n" + file + ":6:1: listener[1].address: is b"
    );
    for (int i = 0; i < 60; ++i)
        found.add("log.level", "no", "yes");
    CHECK(found.error().cause.ends_with("\nand 12 more"));
}

TEST_CASE("a default that breaks its own schema is a problem") {
    const std::vector<ConfigKey> wrong{{"a.b", ConfigType::integer, std::int64_t{5}, "B.", 1, 3}};
    const auto loaded = Config::load(wrong, {});
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().cause.starts_with("schema: a.b: the default is wrong"));
}

TEST_CASE("did_you_mean finds near words and nothing else") {
    const std::vector<std::string_view> words{"address", "protocol", "keepalive", "ab"};
    CHECK(did_you_mean("adress", words) == "address");
    CHECK(did_you_mean("porotocl", words) == "protocol");
    CHECK(did_you_mean("keep_alive", words) == "keepalive");
    CHECK(did_you_mean("keepalive", words) == "keepalive");
    CHECK(did_you_mean("ba", words) == "ab");
    CHECK(did_you_mean("xy", words).empty());
    CHECK(did_you_mean("", words).empty());
    CHECK(did_you_mean("temperature", words).empty());
    CHECK(did_you_mean(std::string(1'000, 'a'), words).empty());
    CHECK(did_you_mean("address", {}).empty());
}
