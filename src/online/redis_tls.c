/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * TLS around a connection. libvalkey's tls.c carries the bytes; here is what it leaves out:
 *
 *   the name in the certificate is compared with the host that we meant (it checks the chain only)
 *   the handshake has a deadline, and its failure a reason
 *   OpenSSL writes with write(), so a peer that is gone would end the program by SIGPIPE: the signal
 *   is held back in this thread while a batch is out, and taken off if it came
 *
 * One SSL_CTX per client, made with it, so that a certificate that cannot be read is told at once.
 */

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <valkey/tls.h>
#include <valkey/valkey.h>

#include "base/time.h"
#include "online/redis_client_internal.h"

#include "base/poison.h"

const char *tfn__redis_tls_get_reason(void)
{
    const unsigned long code = ERR_peek_last_error();
    return code == 0 ? NULL : ERR_reason_error_string(code);
}

static const char *reason_or(const char *otherwise)
{
    const char *reason = tfn__redis_tls_get_reason();
    return reason == NULL ? otherwise : reason;
}

static tfn_code load_authorities(SSL_CTX *tls, const char *ca_path, tfn_error *err)
{
    if (ca_path == NULL) {
        return SSL_CTX_set_default_verify_paths(tls) == 1
                   ? TFN_OK
                   : TFN_FAIL(err, TFN_INVALID,
                              "the system's certificate authorities cannot be read (%s); name a "
                              "file of them with ssl_ca_certs",
                              reason_or("OpenSSL gives no reason"));
    }
    struct stat about;
    const bool is_folder = stat(ca_path, &about) == 0 && S_ISDIR(about.st_mode);
    const int rc =
        SSL_CTX_load_verify_locations(tls, is_folder ? NULL : ca_path, is_folder ? ca_path : NULL);
    return rc == 1 ? TFN_OK
                   : TFN_FAIL(err, TFN_INVALID,
                              "ssl_ca_certs: '%s' is not a PEM file or folder of certificate "
                              "authorities that can be read (%s)",
                              ca_path, reason_or("OpenSSL gives no reason"));
}

static tfn_code load_certificate(SSL_CTX *tls, const char *cert_path, const char *key_path,
                                 tfn_error *err)
{
    if (cert_path == NULL) {
        return TFN_OK;
    }
    if (SSL_CTX_use_certificate_chain_file(tls, cert_path) != 1) {
        return TFN_FAIL(err, TFN_INVALID,
                        "ssl_certfile: '%s' is not a certificate in PEM that can be read (%s)",
                        cert_path, reason_or("OpenSSL gives no reason"));
    }
    if (SSL_CTX_use_PrivateKey_file(tls, key_path, SSL_FILETYPE_PEM) != 1) {
        return TFN_FAIL(err, TFN_INVALID,
                        "ssl_keyfile: '%s' is not the key of '%s', in PEM, that can be read (%s)",
                        key_path, cert_path, reason_or("OpenSSL gives no reason"));
    }
    return TFN_OK;
}

tfn_code tfn__redis_tls_create(const tfn_redis_config *config, struct ssl_ctx_st **out,
                               tfn_error *err)
{
    *out = NULL;
    ERR_clear_error();
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "OpenSSL could not be set up: %s",
                        reason_or("it gives no reason"));
    }
    tfn_code rc = TFN_OK;
    (void)SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_verify(
        tls, config->verify == TFN_REDIS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    TFN_GOTO_IF_ERROR(rc, load_authorities(tls, config->ca_path, err), done);
    TFN_GOTO_IF_ERROR(rc, load_certificate(tls, config->cert_path, config->key_path, err), done);
done:
    if (rc != TFN_OK) {
        SSL_CTX_free(tls);
        return rc;
    }
    *out = tls;
    return TFN_OK;
}

void tfn__redis_tls_destroy(struct ssl_ctx_st *tls)
{
    SSL_CTX_free(tls);
}

bool tfn__redis_tls_has_pending(const tfn__redis_connection *connection)
{
    return connection->ssl != NULL && SSL_pending(connection->ssl) > 0;
}

/* An SSL that knows whom we expect. NULL: OpenSSL has no memory. */
static SSL *make_ssl(const tfn__redis_node *node)
{
    SSL *ssl = SSL_new(node->redis->tls);
    if (ssl == NULL) {
        return NULL;
    }
    /* An address is compared with the certificate's addresses, and is never sent as a name. */
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(expected, node->host) == 1;
    bool ok = is_address || SSL_set_tlsext_host_name(ssl, node->host) == 1;
    if (node->redis->config.verify == TFN_REDIS_VERIFY_HOST) {
        ok = ok && (is_address || SSL_set1_host(ssl, node->host) == 1);
    } else if (is_address) {
        ok = ok && X509_VERIFY_PARAM_set1_ip(expected, NULL, 0) == 1;
    }
    if (!ok) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

static tfn_code fail_handshake(const SSL *ssl, tfn_error *err)
{
    const long verdict = SSL_get_verify_result(ssl);
    if (SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && verdict != X509_V_OK) {
        return TFN_FAIL(err, TFN_UNAVAILABLE,
                        "its certificate is not trusted (%s); check ssl_ca_certs, or whether the "
                        "certificate names this host",
                        X509_verify_cert_error_string(verdict));
    }
    return TFN_FAIL(err, TFN_UNAVAILABLE,
                    "TLS could not be agreed on (%s); check that it speaks TLS",
                    reason_or("the connection was closed"));
}

tfn_code tfn__redis_tls_begin(const tfn__redis_node *node, tfn__redis_connection *connection,
                              double deadline_s, tfn_error *err)
{
    ERR_clear_error();
    SSL *ssl = make_ssl(node);
    if (ssl == NULL) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "OpenSSL: %s", reason_or("no memory"));
    }
    if (valkeyInitiateTLS(connection->context, ssl) != VALKEY_OK) {
        const tfn_code rc = fail_handshake(ssl, err);
        SSL_free(ssl);
        return rc;
    }
    connection->ssl = ssl;
    for (;;) {
        ERR_clear_error();
        const int rc = SSL_do_handshake(ssl);
        if (rc == 1) {
            return TFN_OK;
        }
        const int why = SSL_get_error(ssl, rc);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
            return fail_handshake(ssl, err);
        }
        const double left_s = deadline_s - tfn_clock_monotonic_s();
        if (left_s <= 0) {
            return TFN_FAIL(err, TFN_UNAVAILABLE,
                            "TLS was not agreed on in time; check that it speaks TLS");
        }
        struct pollfd wait = {.fd = connection->context->fd,
                              .events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
        if (poll(&wait, 1, (int)(left_s * 1000) + 1) < 0 && errno != EINTR) {
            return TFN_FAIL_SYS(err, errno, "poll");
        }
    }
}

void tfn__redis_sigpipe_hold(tfn__redis_sigpipe *guard)
{
    *guard = (tfn__redis_sigpipe){0};
    sigset_t pipe;
    sigset_t pending;
    sigset_t before;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)sigpending(&pending);
    guard->was_pending = sigismember(&pending, SIGPIPE) == 1;
    guard->is_held =
        pthread_sigmask(SIG_BLOCK, &pipe, &before) == 0 && sigismember(&before, SIGPIPE) == 0;
}

void tfn__redis_sigpipe_let(tfn__redis_sigpipe *guard)
{
    if (!guard->is_held) {
        return;
    }
    sigset_t pipe;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    sigset_t pending;
    (void)sigpending(&pending);
    if (!guard->was_pending && sigismember(&pending, SIGPIPE) == 1) {
        int taken = 0;
        (void)sigwait(&pipe, &taken); /* pending: comes at once */
    }
    (void)pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
}
