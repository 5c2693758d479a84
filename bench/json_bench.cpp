// Reading one property report: ours (validated against the model) beside nlohmann's parse (the peer) and a
// bare simdjson walk that validates nothing (the limit of what a reader on simdjson can reach).
//
//   json_bench [--seconds S] [--json FILE]

#include "thing/model.h"
#include "thing/value.h"

#include <nlohmann/json.hpp>
#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view payload =
    R"({"id":"100123","version":"1.0","sys":{"ack":0},"params":{"Temperature":{"value":21.53,"time":1763690000000},)"
    R"("Pressure":101.325,"Status":1,"Count":123456},"method":"thing.event.property.post"})";

constexpr std::string_view tsl = R"({"properties":[
{"identifier":"Temperature","name":"t","accessMode":"r","dataType":{"type":"float","specs":{"min":"-40","max":"125"}}},
{"identifier":"Pressure","name":"p","accessMode":"r","dataType":{"type":"double","specs":{"min":"0","max":"1000"}}},
{"identifier":"Status","name":"s","accessMode":"r","dataType":{"type":"bool","specs":{"0":"off","1":"on"}}},
{"identifier":"Count","name":"c","accessMode":"r","dataType":{"type":"int","specs":{"min":"0","max":"2000000000"}}}]})";

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Runs per CPU second: the median of five rounds.
template <class Work> double rate(double seconds, Work work) {
    constexpr int rounds = 5;
    constexpr int batch = 2'000;
    std::vector<double> rates;
    for (int round = 0; round < rounds; ++round) {
        const double begin = cpu_seconds();
        double used = 0;
        double runs = 0;
        while (used < seconds / rounds) {
            for (int i = 0; i < batch; ++i)
                work();
            runs += batch;
            used = cpu_seconds() - begin;
        }
        rates.push_back(runs / used);
    }
    std::ranges::sort(rates);
    return rates[rounds / 2];
}

void require(bool ok, const char* what) {
    if (ok)
        return;
    std::fprintf(stderr, "json_bench: %s\n", what);
    std::exit(1);
}

double measure_ours(double seconds) {
    const auto model = brim::thing::Model::parse_text(tsl);
    require(model.has_value(), "the model is refused");
    brim::thing::PostReader reader;
    brim::thing::PropertyPost post;
    return rate(seconds, [&] {
        const auto refused = reader.read(*model, payload, brim::WallTime{1'763'690'000'500}, {}, post);
        require(!refused && post.samples.size() == 4 && post.rejected.empty(), "a report is refused");
    });
}

double measure_nlohmann(double seconds) {
    return rate(seconds, [] {
        const auto json = nlohmann::json::parse(payload, nullptr, false);
        require(json["params"].size() == 4, "nlohmann refuses");
    });
}

double measure_simdjson(double seconds) {
    simdjson::ondemand::parser parser;
    const simdjson::padded_string padded(payload);
    double sink = 0;
    const double result = rate(seconds, [&] {
        simdjson::ondemand::document document;
        require(parser.iterate(padded).get(document) == simdjson::SUCCESS, "simdjson refuses");
        simdjson::ondemand::object params;
        require(document["params"].get_object().get(params) == simdjson::SUCCESS, "simdjson finds no params");
        for (auto field : params) {
            double number = 0;
            auto value = field.value();
            if (value.type().value_unsafe() == simdjson::ondemand::json_type::object)
                value = value["value"];
            if (value.get_double().get(number) == simdjson::SUCCESS)
                sink += number;
        }
    });
    require(sink > 0, "simdjson read nothing");
    return result;
}

} // namespace

int main(int argc, char** argv) {
    double seconds = 2;
    std::string json_file;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--seconds")
            seconds = std::atof(argv[i + 1]);
        if (option == "--json")
            json_file = argv[i + 1];
    }
    const double ours = measure_ours(seconds);
    const double peer = measure_nlohmann(seconds);
    const double limit = measure_simdjson(seconds);
    std::printf(
        "%-34s %12s %12s %12s %8s %8s\n",
        "validated property posts",
        "ours",
        "nlohmann",
        "simdjson",
        "x peer",
        "x limit"
    );
    std::printf(
        "%3zu bytes, posts per CPU-second    %12.0f %12.0f %12.0f %8.2f %8.2f\n",
        payload.size(),
        ours,
        peer,
        limit,
        ours / peer,
        ours / limit
    );
    if (json_file.empty())
        return 0;
    const nlohmann::json row{
        {"name", "property post, 191 bytes, validated"},
        {"unit", "posts/cpu-s"},
        {"ours", ours},
        {"peer", peer},
        {"limit", limit},
        {"ratio_peer", ours / peer},
        {"ratio_limit", ours / limit},
    };
    std::ofstream out(json_file);
    out << nlohmann::json::array({row}).dump(2) << '\n';
    return out.good() ? 0 : 1;
}
