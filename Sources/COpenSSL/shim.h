#pragma once
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

// What Swift cannot import: macros with casts. Nothing with logic.

static inline long c_ssl_ctx_set_minimum_version(SSL_CTX *ctx, int version) { return SSL_CTX_set_min_proto_version(ctx, version); }
static inline long c_ssl_ctx_set_maximum_version(SSL_CTX *ctx, int version) { return SSL_CTX_set_max_proto_version(ctx, version); }
static inline long c_ssl_ctx_set_mode(SSL_CTX *ctx, long mode) { return SSL_CTX_set_mode(ctx, mode); }
static inline long c_ssl_ctx_disable_session_cache(SSL_CTX *ctx) { return SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); }
static inline long c_ssl_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, (char *)name); }
static inline long c_bio_memory_bytes(BIO *bio, char **bytes) { return BIO_get_mem_data(bio, bytes); }
static inline void c_bio_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void c_bio_clear_retry_flags(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline EVP_PKEY *c_generate_rsa_key(unsigned int bits) { return EVP_RSA_gen(bits); }
static inline int c_certificates_count(STACK_OF(X509) *certificates) { return sk_X509_num(certificates); }
static inline void c_certificates_free(STACK_OF(X509) *certificates) { sk_X509_pop_free(certificates, X509_free); }

static const unsigned long long c_ssl_options = SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
    | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE;
static const long c_ssl_modes = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY;
