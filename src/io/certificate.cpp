#include "io/certificate.h"

#include "io/internal/certificates.h"
#include "io/internal/tls_text.h"

#include "base/assert.h"

#include <array>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace brim::io {

namespace {

struct InspectionFree {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }

    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }

    void operator()(STACK_OF(X509) * chain) const noexcept { sk_X509_free(chain); }
};

/// A client's handshake over memory buffers that lets every certificate pass, to look at it afterwards.
class PeerInspection final : public CertificateInspection, private StreamHandler {
public:
    PeerInspection(
        Loop& loop,
        Network& net,
        const Endpoint& to,
        const TlsContext& trust,
        CertificateQuestion question,
        Duration timeout,
        CertificateInspected done
    )
        : to_(to), question_(std::move(question)), done_(std::move(done)), timer_(loop),
          context_(SSL_CTX_new(TLS_client_method())) {
        BRIM_ASSERT(context_ != nullptr, "OpenSSL is usable");
        SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
        // The trust of `trust`, not its callbacks: those belong to its own connections.
        SSL_CTX_set1_cert_store(context_.get(), SSL_CTX_get_cert_store(trust.native()));
        SSL_CTX_set1_param(context_.get(), SSL_CTX_get0_param(trust.native()));
        SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
        timer_.start(timeout, [this] {
            finish(fail(
                Errc::timeout,
                object(),
                "the TLS handshake was not finished in time",
                "check that TLS is spoken on this port"
            ));
        });
        attempt_ = net.connect(to, timeout, [this](auto stream) { connected(std::move(stream)); });
    }

private:
    std::string object() const { return "TLS connection to " + to_.text(); }

    void connected(Result<std::unique_ptr<Stream>> stream) {
        if (!stream)
            return finish(fail(std::move(stream).error()));
        stream_ = std::move(*stream);
        ssl_.reset(SSL_new(context_.get()));
        BIO* const in = BIO_new(BIO_s_mem());
        BIO* const out = BIO_new(BIO_s_mem());
        BRIM_ASSERT(ssl_ && in != nullptr && out != nullptr, "OpenSSL has memory for a connection");
        SSL_set_bio(ssl_.get(), in, out);
        SSL_set_connect_state(ssl_.get());
        // SSL_set_tlsext_host_name() written out: the macro holds a cast our warnings refuse.
        if (!question_.name.empty())
            SSL_ctrl(
                ssl_.get(),
                SSL_CTRL_SET_TLSEXT_HOSTNAME,
                TLSEXT_NAMETYPE_host_name,
                const_cast<char*>(question_.name.c_str())
            );
        stream_->start(*this);
        shake_hands();
    }

    void on_data(ByteView bytes) override {
        BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
        shake_hands();
    }

    void on_closed(const Error& why) override {
        finish(fail(
            why.code,
            object(),
            "during the TLS handshake " + why.cause,
            "check that TLS is spoken on this port"
        ));
    }

    void shake_hands() {
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl_.get());
        std::array<char, 4'096> block{};
        int size = 0;
        while ((size = BIO_read(SSL_get_wbio(ssl_.get()), block.data(), block.size())) > 0)
            stream_->write({block.data(), static_cast<std::size_t>(size)});
        if (result == 1)
            return finish(report());
        if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ)
            return;
        finish(fail(tls_error(object(), false)));
    }

    Result<CertificateReport> report() const {
        X509* const leaf = SSL_get0_peer_certificate(ssl_.get());
        STACK_OF(X509)* const shown = SSL_get_peer_cert_chain(ssl_.get());
        if (leaf == nullptr || shown == nullptr)
            return fail(Errc::invalid, object(), "the server showed no certificate", "give it one");
        CertificateReport made;
        for (int i = 0; i < sk_X509_num(shown); ++i)
            made.chain.push_back(describe(sk_X509_value(shown, i)));
        made.refusals = judge(leaf, shown, context_.get(), object(), question_);
        made.protocol = SSL_get_version(ssl_.get());
        return made;
    }

    void finish(Result<CertificateReport> result) {
        timer_.stop();
        if (stream_)
            stream_->close();
        // Both may be on the stack below us, in what they promise to be their last call.
        attempt_.reset();
        stream_.reset();
        CertificateInspected done = std::move(done_);
        done(std::move(result)); // may destroy this inspection
    }

    const Endpoint to_;
    const CertificateQuestion question_;
    CertificateInspected done_;
    Timer timer_;
    std::unique_ptr<SSL_CTX, InspectionFree> context_;
    std::unique_ptr<SSL, InspectionFree> ssl_;
    std::unique_ptr<Connecting> attempt_;
    std::unique_ptr<Stream> stream_;
};

} // namespace

Result<std::vector<Certificate>> read_certificate_file(Disk& disk, const std::string& path) {
    const auto found = read_certificates(disk, path);
    if (!found)
        return fail(found.error());
    std::vector<Certificate> described;
    for (const CertificatePtr& each : *found)
        described.push_back(describe(each.get()));
    return described;
}

Result<CertificateReport> inspect_certificate_file(
    Disk& disk, const std::string& path, const TlsContext& trust, const CertificateQuestion& question
) {
    const auto found = read_certificates(disk, path);
    if (!found)
        return fail(found.error());
    const std::unique_ptr<STACK_OF(X509), InspectionFree> chain(sk_X509_new_null());
    CertificateReport made;
    for (const CertificatePtr& each : *found) {
        made.chain.push_back(describe(each.get()));
        sk_X509_push(chain.get(), each.get());
    }
    made.refusals = judge(found->front().get(), chain.get(), trust.native(), "file " + path, question);
    return made;
}

std::unique_ptr<CertificateInspection> inspect_certificate(
    Loop& loop,
    Network& net,
    const Endpoint& to,
    const TlsContext& trust,
    CertificateQuestion question,
    Duration timeout,
    CertificateInspected done
) {
    return std::make_unique<PeerInspection>(
        loop, net, to, trust, std::move(question), timeout, std::move(done)
    );
}

} // namespace brim::io
