#include "cli/doctor.h"

#include <chrono>
#include <utility>

namespace brim::cli {

Result<double> Probe::connect_ms(const io::Endpoint& to) {
    std::optional<Result<void>> outcome;
    const auto before = std::chrono::steady_clock::now();
    const auto attempt = env_.net().connect(to, DoctorLimits::probe_wait_max, [&](auto stream) {
        if (stream)
            outcome = Result<void>();
        else
            outcome = Result<void>(fail(stream.error()));
        env_.loop().stop();
    });
    env_.loop().run();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
    if (!outcome)
        return fail(Errc::closed, to.text(), "interrupted");
    if (!*outcome)
        return fail(outcome->error());
    return took.count();
}

Result<io::CertificateReport> Probe::certificate(
    const io::Endpoint& at, const std::string& ca_file, const io::CertificateQuestion& question
) {
    const auto trust = io::TlsContext::client(env_.disk(), {.ca_file = ca_file});
    if (!trust)
        return fail(trust.error());
    std::optional<Result<io::CertificateReport>> outcome;
    const auto inspection = io::inspect_certificate(
        env_.loop(),
        env_.net(),
        at,
        **trust,
        question,
        DoctorLimits::probe_wait_max,
        [&](auto report) {
            outcome = std::move(report);
            env_.loop().stop();
        }
    );
    env_.loop().run();
    if (!outcome)
        return fail(Errc::closed, at.text(), "interrupted");
    return std::move(*outcome);
}

namespace {

struct PageReader final : io::StreamHandler {
    explicit PageReader(io::EpollLoop& run) : loop(run) {}

    void on_data(ByteView bytes) override {
        text += bytes;
        if (text.size() > DoctorLimits::status_bytes_max)
            loop.stop();
    }

    void on_closed(const Error&) override { loop.stop(); }

    io::EpollLoop& loop;
    std::string text;
};

} // namespace

Result<Json> Probe::page(const io::Endpoint& at, std::string_view path) {
    PageReader reader(env_.loop());
    std::unique_ptr<io::Stream> stream;
    std::optional<Error> error;
    io::Timer deadline(env_.loop());
    deadline.start(DoctorLimits::probe_wait_max, [this] { env_.loop().stop(); });
    const auto attempt = env_.net().connect(at, DoctorLimits::probe_wait_max, [&](auto made) {
        if (!made) {
            error = made.error();
            return env_.loop().stop();
        }
        stream = std::move(*made);
        stream->start(reader);
        stream->write(
            "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
    });
    env_.loop().run();
    if (error)
        return fail(std::move(*error));
    const std::size_t body = reader.text.find("\r\n\r\n");
    if (body == std::string::npos)
        return fail(Errc::timeout, at.text(), "no answer in time", "check that this is its status address");
    return Json::parse(
        std::string_view(reader.text).substr(body + 4), {.bytes_max = DoctorLimits::status_bytes_max}
    );
}

} // namespace brim::cli
