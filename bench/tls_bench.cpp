// What OpenSSL itself needs for a TLS 1.3 server connection: live heap of an idle one, and CPU time of a full
// ECDSA P-256 handshake. Pairs of a server and a client talk through memory; there is no socket, no broker
// and no stream of ours, so that no program on this library can have less.
//
//   tls_bench [-n PAIRS] [--json FILE]     prints where the bytes are

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <malloc.h>
#include <map>
#include <memory>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

[[noreturn]] void give_up(const char* what) {
    std::fprintf(stderr, "tls_bench: %s failed\n", what);
    std::exit(1);
}

// --- the heap: OpenSSL names file and line of each allocation

struct Block {
    std::size_t bytes = 0; ///< as the allocator rounds it, with its header
    std::size_t asked = 0;
    const char* file = nullptr;
    int line = 0;
};

/// Blocks allocated while the server's side was at work. Plain functions see it, as OpenSSL's hooks have no
/// argument of ours.
struct Heap {
    bool counts = false;
    std::unordered_map<void*, Block> live;
};

Heap& heap() {
    static auto* const made = new Heap; // outlives OpenSSL's own end
    return *made;
}

void note(void* block, std::size_t bytes, const char* file, int line) {
    if (heap().counts && block != nullptr)
        heap().live[block] = {malloc_usable_size(block) + sizeof(std::size_t), bytes, file, line};
}

void* counted_malloc(std::size_t bytes, const char* file, int line) {
    void* const made = std::malloc(bytes);
    note(made, bytes, file, line);
    return made;
}

void counted_free(void* block, const char*, int) {
    if (!heap().live.empty())
        heap().live.erase(block);
    std::free(block);
}

void* counted_realloc(void* block, std::size_t bytes, const char* file, int line) {
    // A block that was there before does not become the server's because it grows.
    const bool is_known = block == nullptr || heap().live.erase(block) != 0;
    void* const made = std::realloc(block, bytes);
    if (is_known)
        note(made, bytes, file, line);
    return made;
}

// --- pairs

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }

    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

    void operator()(X509* certificate) const { X509_free(certificate); }
};

template <class T> using Owned = std::unique_ptr<T, Free>;

/// The options of io::TlsContext (src/io/tls.cpp), and a certificate made here.
Owned<SSL_CTX> make_server() {
    Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(
        context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE
    );
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
    const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
    const Owned<X509> certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86'400);
    X509_set_pubkey(certificate.get(), key.get());
    X509_NAME* const name = X509_get_subject_name(certificate.get());
    const unsigned char text[] = "localhost";
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0);
    X509_set_issuer_name(certificate.get(), name);
    if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0 ||
        SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1)
        give_up("the certificate");
    return context;
}

/// Runs `step` as the server: its allocations and its CPU time are counted.
template <class Step> double as_server(bool counts, Step step) {
    heap().counts = counts;
    const double began = cpu_seconds();
    step();
    const double took = cpu_seconds() - began;
    heap().counts = false;
    return took;
}

struct Pair {
    Owned<SSL> server;
    Owned<SSL> client;
};

/// Shakes hands and exchanges one message each way; `cpu_s` grows by the server's time until the handshake is
/// over. The memory that stands for the socket is nobody's.
Pair connect(SSL_CTX* server, SSL_CTX* client, bool counts, double& cpu_s) {
    Pair pair;
    cpu_s += as_server(counts, [&] { pair.server.reset(SSL_new(server)); });
    pair.client.reset(SSL_new(client));
    BIO* near = nullptr;
    BIO* far = nullptr;
    constexpr std::size_t socket_bytes = 16 * 1024;
    if (BIO_new_bio_pair(&near, socket_bytes, &far, socket_bytes) != 1)
        give_up("memory for a pair");
    SSL_set_bio(pair.server.get(), near, near);
    SSL_set_bio(pair.client.get(), far, far);
    SSL_set_accept_state(pair.server.get());
    SSL_set_connect_state(pair.client.get());
    for (int turn = 0; turn < 4 && SSL_is_init_finished(pair.server.get()) == 0; ++turn) {
        SSL_do_handshake(pair.client.get());
        cpu_s += as_server(counts, [&] { SSL_do_handshake(pair.server.get()); });
    }
    char bytes[64];
    if (SSL_write(pair.client.get(), "connect", 7) != 7)
        give_up("the handshake");
    as_server(counts, [&] {
        if (SSL_read(pair.server.get(), bytes, sizeof bytes) != 7)
            give_up("a message");
        SSL_read(
            pair.server.get(), bytes, sizeof bytes
        ); // sees that there is no more, and releases the buffer
        SSL_write(pair.server.get(), "connack", 7);
    });
    SSL_read(pair.client.get(), bytes, sizeof bytes);
    return pair;
}

std::size_t print_breakdown(std::size_t pairs) {
    std::map<std::string, std::size_t> by_place;
    std::size_t total = 0;
    for (const auto& [address, block] : heap().live) {
        std::string_view file = block.file == nullptr ? "?" : block.file;
        file.remove_prefix(std::min(file.size(), file.rfind("../") == file.npos ? 0 : file.rfind("../") + 3));
        by_place
            [std::string(file) + ':' + std::to_string(block.line) + " (" + std::to_string(block.asked) +
             ")"] += block.bytes;
        total += block.bytes;
    }
    std::vector<std::pair<std::size_t, std::string>> sorted;
    sorted.reserve(by_place.size());
    for (const auto& [place, bytes] : by_place)
        sorted.emplace_back(bytes, place);
    std::ranges::sort(sorted, std::greater<>{});
    std::printf("\nheap of one idle TLS 1.3 server object of %s, bytes\n", OpenSSL_version(OPENSSL_VERSION));
    std::size_t rest = total;
    for (const auto& [bytes, place] : sorted) {
        if (bytes / pairs < 100)
            break;
        std::printf("%8zu  %s\n", bytes / pairs, place.c_str());
        rest -= bytes;
    }
    std::printf("%8zu  smaller ones\n%8zu  all\n", rest / pairs, total / pairs);
    return total / pairs;
}

} // namespace

int main(int argc, char** argv) {
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
        give_up("counting the heap");
    std::size_t pairs = 500;
    const char* json = nullptr;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::string_view(argv[i]) == "-n")
            pairs = static_cast<std::size_t>(std::max(1, std::atoi(argv[i + 1])));
        else if (std::string_view(argv[i]) == "--json")
            json = argv[i + 1];
    }
    const Owned<SSL_CTX> server = make_server();
    const Owned<SSL_CTX> client(SSL_CTX_new(TLS_client_method()));
    double ignored_s = 0;
    connect(server.get(), client.get(), false, ignored_s); // what is allocated once is nobody's
    double cpu_s = 0;
    for (std::size_t i = 0; i < pairs; ++i)
        connect(server.get(), client.get(), false, cpu_s);
    std::vector<Pair> held;
    held.reserve(pairs);
    for (std::size_t i = 0; i < pairs; ++i)
        held.push_back(connect(server.get(), client.get(), true, ignored_s));
    const std::string version = SSL_get_version(held.front().server.get());
    if (version != "TLSv1.3")
        give_up("TLS 1.3");
    const std::size_t bytes = print_breakdown(pairs);
    const double per_s = static_cast<double>(pairs) / cpu_s;
    std::printf("%8.0f  full ECDSA P-256 handshakes per CPU-second of the server's side\n", per_s);
    if (json != nullptr)
        std::ofstream(json) << "{\"bytes\": " << bytes << ", \"handshakes_per_cpu_s\": " << per_s << "}\n";
    return 0;
}
