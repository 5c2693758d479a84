#include "cli/findings.h"

#include "base/assert.h"

#include <algorithm>
#include <cstdio>

namespace brim::cli {

namespace {

const char* sign_of(Level level) {
    switch (level) {
    case Level::good:
        return "\u2713";
    case Level::warning:
        return "\u203c";
    case Level::bad:
        break;
    }
    return "\u00d7";
}

Json row_of(const Finding& finding) {
    Json row = Json::object(
        {{"group", finding.group},
         {"check", finding.check},
         {"object", finding.object},
         {"level", level_name(finding.level)},
         {"measured", finding.measured},
         {"fix", finding.fix}}
    );
    if (!finding.facts.is_null())
        row.set("facts", finding.facts);
    return row;
}

std::string what_of(const Finding& finding) {
    return printable(finding.check + (finding.object.empty() ? "" : " " + finding.object));
}

void print_line(const Finding& finding, std::size_t what_width) {
    std::printf(
        "%s %-8s %-*s  %s\n",
        sign_of(finding.level),
        finding.group.c_str(),
        static_cast<int>(what_width),
        what_of(finding).c_str(),
        printable(finding.measured).c_str()
    );
    if (!finding.fix.empty())
        std::printf("    fix: %s\n", printable(finding.fix).c_str());
}

} // namespace

std::string_view level_name(Level level) noexcept {
    switch (level) {
    case Level::good:
        return "ok";
    case Level::warning:
        return "warning";
    case Level::bad:
        break;
    }
    return "bad";
}

std::string ms_text(double ms) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f ms", ms);
    return text;
}

void Findings::add(Finding finding) {
    BRIM_ASSERT(finding.level == Level::good || !finding.fix.empty(), "what is not well has a fix");
    findings_.push_back(std::move(finding));
}

bool Findings::any_bad() const {
    return std::ranges::any_of(findings_, [](const Finding& each) { return each.level == Level::bad; });
}

Exit Findings::print(Format format) const {
    if (format == Format::json) {
        Json rows = Json::array();
        for (const Finding& each : findings_)
            rows.push(row_of(each));
        print_json(rows);
    } else {
        std::size_t what_width = 0;
        for (const Finding& each : findings_)
            what_width = std::max(what_width, what_of(each).size());
        for (const Finding& each : findings_)
            print_line(each, what_width);
    }
    return any_bad() ? Exit::check_failed : Exit::ok;
}

} // namespace brim::cli
