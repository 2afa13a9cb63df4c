/* mailer.c: see mailer.h. libcurl speaks SMTP and encodes the body. */
#include "mailer.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HEADER_BYTES_MAX 1600

/* A subject that is not ASCII becomes encoded words of 45 bytes each, cut between characters (RFC 2047). */
static void encode_subject(const char *subject, char out[HEADER_BYTES_MAX])
{
    size_t size = strlen(subject), n = snprintf(out, HEADER_BYTES_MAX, "Subject:");
    bool ascii = true;
    for (size_t i = 0; i < size; i++) ascii &= (unsigned char)subject[i] < 0x80;
    if (ascii) {
        snprintf(out + n, HEADER_BYTES_MAX - n, " %s", subject);
        return;
    }
    for (size_t from = 0; from < size;) {
        size_t take = size - from < 45 ? size - from : 45;
        while (take > 1 && from + take < size && ((unsigned char)subject[from + take] & 0xc0) == 0x80) take--;
        unsigned char word[64];
        EVP_EncodeBlock(word, (const unsigned char *)subject + from, (int)take);
        n += snprintf(out + n, HEADER_BYTES_MAX - n, "%s =?utf-8?B?%s?=", from ? "\r\n" : "", word);
        from += take;
    }
}

static struct curl_slist *make_headers(const config_t *config, const email_t *email)
{
    char line[HEADER_BYTES_MAX], date[64];
    struct curl_slist *headers = NULL;
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &utc));
    snprintf(line, sizeof line, "Date: %s", date);
    headers = curl_slist_append(headers, line);
    snprintf(line, sizeof line, "From: <%s>", config->mail_from);
    headers = curl_slist_append(headers, line);
    snprintf(line, sizeof line, "To: <%s>", email->to);
    headers = curl_slist_append(headers, line);
    snprintf(line, sizeof line, "Message-ID: <%s@%s>", email->id,
             strchr(config->mail_from, '@') ? strchr(config->mail_from, '@') + 1 : "localhost");
    headers = curl_slist_append(headers, line);
    encode_subject(email->subject, line);
    return curl_slist_append(headers, line);
}

/* RFC 5321 4.2.1: 5yz is final, 4yz is not; without a reply the server is away. */
static mail_t judge(CURL *curl, CURLcode code, const char *words, char problem[MAIL_PROBLEM_BYTES])
{
    long reply = 0;
    if (code == CURLE_OK) return MAIL_SENT;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply);
    if (*words) /* the reply's code is in libcurl's words when there are some */
        snprintf(problem, MAIL_PROBLEM_BYTES, "SMTP: %s", words);
    else
        snprintf(problem, MAIL_PROBLEM_BYTES, "SMTP: %s (reply %ld)", curl_easy_strerror(code), reply);
    return reply >= 500 && reply < 600 && code != CURLE_OPERATION_TIMEDOUT ? MAIL_REFUSED : MAIL_LATER;
}

mail_t mailer_send(const config_t *config, const email_t *email, char problem[MAIL_PROBLEM_BYTES])
{
    char words[CURL_ERROR_SIZE] = "", from[300], to[300];
    CURL *curl = curl_easy_init();
    if (!curl) die("no memory");
    snprintf(from, sizeof from, "<%.280s>", config->mail_from);
    snprintf(to, sizeof to, "<%.280s>", email->to);
    struct curl_slist *rcpt = curl_slist_append(NULL, to), *headers = make_headers(config, email);
    curl_mime *mime = curl_mime_init(curl);
    curl_mimepart *part = curl_mime_addpart(mime);
    curl_mime_data(part, email->body, CURL_ZERO_TERMINATED);
    curl_mime_type(part, "text/plain; charset=utf-8");
    curl_mime_encoder(part, "quoted-printable");
    curl_easy_setopt(curl, CURLOPT_URL, config->smtp_url);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, rcpt);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_MIMEPOST, mime);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)config->lease_ms / 2);
    mail_t mail = judge(curl, curl_easy_perform(curl), words, problem);
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    curl_slist_free_all(rcpt);
    curl_easy_cleanup(curl);
    return mail;
}
