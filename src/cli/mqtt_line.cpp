// The words of `brim mqtt`: as in mosquitto_pub and mosquitto_sub, so that nobody has to learn them anew.

#include "cli/mqtt_commands.h"

#include <CLI/CLI.hpp>

#include <memory>

namespace brim::cli {

namespace {

constexpr const char* session_help =
    "The password also comes from --password-file or BRIM_MQTT_PASSWORD: what stands on a command line, "
    "every\n"
    "user of this machine can read. Exit codes as everywhere in brim: 0 ok, 1 failure, 2 usage, 4 denied,\n"
    "6 unreachable, 7 timeout (-W).";

CLI::App* mqtt_verb(CLI::App& noun, const char* name, const char* help) {
    CLI::App* made = noun.add_subcommand(name, help);
    made->set_help_flag("--help", "Print this help message and exit"); // -h is the host
    made->footer(session_help);
    return made;
}

void add_session(CLI::App& verb, MqttWords& words) {
    verb.add_option("-h,--host", words.host, "Host name or address (default: localhost)");
    verb.add_option("-p,--port", words.port, "Port (default: 1883, with TLS 8883)");
    verb.add_option("-L,--url", words.url, "mqtt://user:password@host:port/topic, or mqtts://...");
    verb.add_option("--unix", words.unix_path, "Socket file instead of host and port");
    verb.add_option("-i,--id", words.client_id, "Client id (default: a random one)");
    verb.add_option("-u,--username", words.user, "User name");
    verb.add_option("-P,--pw", words.password, "Password; seen by all users of this machine");
    verb.add_option("--password-file", words.password_file, "File with the password");
    verb.add_option("-k,--keepalive", words.keepalive_s, "Keep-alive in seconds")->default_val(60);
    verb.add_flag("-c,--disable-clean-session", words.keep_session, "Go on with the session of this id");
    verb.add_option("-x,--session-expiry-interval", words.session_expiry, "Seconds, or never (MQTT 5)");
    verb.add_option("-V,--protocol-version", words.version, "5, 311 or 31")->default_val("5");
    verb.add_flag("--tls", words.tls, "TLS, trusting the system's authorities");
    verb.add_option("--cafile", words.ca_file, "TLS, trusting the certificates in this PEM file only");
    verb.add_option("--cert", words.cert_file, "Client certificate (PEM)");
    verb.add_option("--key", words.key_file, "Its private key (PEM)");
    verb.add_option("--tls-version", words.tls_version, "Oldest TLS spoken: tlsv1.2 or tlsv1.3");
    verb.add_option("--tls-alpn", words.alpn, "Protocol named in the TLS handshake, such as mqtt");
    verb.add_option("-I,--id-prefix", words.id_prefix, "The random client id begins with it");
    verb.add_flag("--quiet", words.quiet, "Tell what goes wrong on the way by the exit code alone");
    verb.add_flag("--nodelay", words.no_delay, "Taken; nothing is ever held back to fill a segment");
    // Taken, to say why it is not done.
    verb.add_flag("--insecure", words.insecure)->group("");
    auto* properties =
        verb.add_option("-D,--property", words.properties, "COMMAND NAME VALUE: a property of MQTT 5");
    properties->type_size(3, 4)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

/// Of who publishes or prints.
void add_flow(CLI::App& verb, MqttWords& words) {
    verb.add_option("--max-inflight", words.inflight_max, "Unacknowledged messages, each way")
        ->check(CLI::Range(1, 65'535));
    verb.add_flag("-d,--debug", words.debug, "Tell on standard error what happens");
}

void add_will(CLI::App& verb, MqttWords& words) {
    verb.add_option("--will-topic", words.will_topic, "Topic of the will");
    verb.add_option_function<std::string>(
        "--will-payload",
        [&words](const std::string& text) {
            words.will_payload = text;
            words.has_will_payload = true;
        },
        "Its payload"
    );
    verb.add_option("--will-qos", words.will_qos, "Its QoS");
    verb.add_flag("--will-retain", words.will_retain, "It is retained");
}

void add_pub(CLI::App& noun, std::function<Exit()>& run) {
    CLI::App* verb = mqtt_verb(noun, "pub", "Publish messages");
    const auto options = std::make_shared<PubOptions>(); // owned by the callback, borrowed by the options
    PubOptions& chosen = *options;
    add_session(*verb, chosen.words);
    add_flow(*verb, chosen.words);
    add_will(*verb, chosen.words);
    verb->add_option("-t,--topic", chosen.words.topics, "Topic")->type_size(1)->expected(1);
    verb->add_option("-q,--qos", chosen.words.qos, "0, 1 or 2")->default_val(0);
    verb->add_option_function<std::string>(
        "-m,--message",
        [&chosen](const std::string& text) {
            chosen.message = text;
            chosen.has_message = true;
        },
        "The message"
    );
    verb->add_option("-f,--file", chosen.file, "File whose bytes are the message");
    verb->add_flag("-n,--null-message", chosen.null_message, "An empty message (clears a retained one)");
    verb->add_flag("-l,--stdin-line", chosen.lines, "Each line of standard input is a message");
    verb->add_flag("-s,--stdin-file", chosen.all_input, "All of standard input is one message");
    verb->add_flag("-r,--retain", chosen.retain, "The server keeps it for later subscribers");
    verb->add_option("--repeat", chosen.repeat, "Publish it so often")
        ->check(CLI::Range(1UL, 1'000'000'000UL));
    verb->add_option("--repeat-delay", chosen.repeat_delay_s, "Seconds between them")
        ->check(CLI::Range(0.0, 86'400.0));
    verb->callback([options, &run] { run = [options] { return mqtt_pub(*options); }; });
}

void add_sub(CLI::App& noun, std::function<Exit()>& run) {
    CLI::App* verb = mqtt_verb(noun, "sub", "Print messages as they come");
    const auto options = std::make_shared<SubOptions>();
    SubOptions& chosen = *options;
    add_session(*verb, chosen.words);
    add_flow(*verb, chosen.words);
    add_will(*verb, chosen.words);
    const auto list = [&](const char* name, std::vector<std::string>& words, const char* help) {
        verb->add_option(name, words, help)
            ->type_size(1)
            ->expected(1)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    };
    list("-t,--topic", chosen.words.topics, "Topic filter; may be given more than once");
    list("-T,--filter-out", chosen.filter_out, "Do not print what matches this filter");
    list("-U,--unsubscribe", chosen.unsubscribe, "End this subscription of a kept session");
    verb->add_option("-q,--qos", chosen.words.qos, "0, 1 or 2: the most it is delivered with")
        ->default_val(0);
    verb->add_option("-C,--count", chosen.count, "End after this many messages");
    verb->add_option("-W,--timeout", chosen.wait_s, "End after this many seconds, with code 7")
        ->check(CLI::Range(0.0, 31'536'000.0));
    verb->add_option(
        "-F,--format", chosen.format, "How to print: %t topic, %p payload, %J JSON ... (see docs/mqtt.md)"
    );
    verb->add_flag("-v,--verbose", chosen.verbose, "Print the topic before the payload");
    verb->add_flag("-N,--no-eol", chosen.no_line_end, "No line end after a message");
    verb->add_flag("-R,--no-retained", chosen.fresh_only, "Not those that were kept from earlier");
    verb->add_flag(
        "--remove-retained", chosen.remove_retained, "Clear each retained message that comes, at the server"
    );
    verb->add_option("--random-filter", chosen.share_percent, "Print this share of the messages, in percent")
        ->check(CLI::Range(0.1, 100.0));
    verb->add_flag("--retained-only", chosen.retained_only, "Only those, and end with the first other");
    verb->add_flag(
        "-E,--exit-subscribed", chosen.exit_subscribed, "End when the server has the subscriptions"
    );
    verb->add_flag("--retain-as-published", chosen.retain_as_published, "Keep the retain flag (MQTT 5)");
    verb->add_flag("--no-local", chosen.no_local, "Not what this very client publishes (MQTT 5)");
    verb->add_option("--retain-handling", chosen.retain_handling, "always, new or never (MQTT 5)")
        ->check(CLI::IsMember({"always", "new", "never"}));
    verb->callback([options, &run] { run = [options] { return mqtt_sub(*options); }; });
}

void add_bench(CLI::App& noun, std::function<Exit()>& run, const std::string& output) {
    CLI::App* verb = mqtt_verb(noun, "bench", "Load a server and measure how long messages take");
    const auto options = std::make_shared<BenchOptions>();
    BenchOptions& chosen = *options;
    chosen.words.qos = 1;
    add_session(*verb, chosen.words);
    verb->add_option("-t,--topic", chosen.words.topics, "Topic that the publishers' own are below")
        ->type_size(1)
        ->expected(1);
    verb->add_option("-q,--qos", chosen.words.qos, "0, 1 or 2")->default_val(1);
    verb->add_option("--publishers", chosen.publishers, "Publishers")->default_val(1);
    verb->add_option("--subscribers", chosen.subscribers, "Subscribers, each of all topics")->default_val(1);
    verb->add_option("--size", chosen.payload_bytes, "Bytes of a message, at least 8")->default_val(64);
    verb->add_option("--rate", chosen.rate, "Messages per second of all together; 0: as many as go")
        ->check(CLI::Range(0.0, 1e9));
    verb->add_option("--window", chosen.window, "Unacknowledged messages of a publisher")->default_val(32);
    verb->add_option("--duration", chosen.seconds, "Seconds measured")->default_val(5);
    verb->add_option("--warmup", chosen.warmup_s, "Seconds before that")->default_val(1);
    verb->callback([options, &run, &output] {
        run = [options, &output] {
            return mqtt_bench(*options, output == "json" ? Format::json : Format::table);
        };
    });
}

void add_admin(CLI::App& noun, std::function<Exit()>& run, const std::string& output) {
    const auto verb = [&](const char* name, const char* command, const char* help) {
        auto options = std::make_shared<AdminOptions>(); // shared with the callback
        options->command = command;
        CLI::App* made = mqtt_verb(noun, name, help);
        add_session(*made, options->words);
        made->callback([&run, &output, options] {
            run = [&output, options] {
                return mqtt_admin(*options, output == "json" ? Format::json : Format::table);
            };
        });
        return std::pair(made, options);
    };
    const auto [conns, listed] = verb("conns", "sessions", "List a Brim broker's clients");
    conns->add_option("client", listed->client_id, "Only this one, with its subscriptions");
    conns->add_option("--of-user", listed->user, "Only those of this user");
    conns->add_flag("--online", listed->online_only, "Only those connected now");
    const auto [kick, kicked] = verb("kick", "kick", "Disconnect a client of a Brim broker");
    kick->add_option("client", kicked->client_id, "Its client id")->required();
    kick->add_option("--of-user", kicked->user, "Its user, where several have this client id");
    kick->add_flag("--forget", kicked->forget, "Drop its session too: subscriptions and waiting messages");
    const auto [trace, traced] = verb("trace", "trace", "Show a client's packets as they come and go");
    trace->add_option("client", traced->client_id, "Its client id; it need not be connected yet")->required();
    trace->add_option("--seconds", traced->seconds, "How long, at most 3,600")->default_val(60);
    (void)verb("stats", "stats", "Show a Brim broker's counters");
}

} // namespace

CLI::App& add_mqtt(CLI::App& app, std::function<Exit()>& run, const std::string& output) {
    CLI::App* noun = app.add_subcommand("mqtt", "Talk MQTT to any server: publish, subscribe, measure");
    noun->require_subcommand(1);
    add_pub(*noun, run);
    add_sub(*noun, run);
    add_bench(*noun, run, output);
    add_admin(*noun, run, output);
    return *noun;
}

} // namespace brim::cli
