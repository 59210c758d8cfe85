#!/bin/sh
# The team's proxy: makes a certificate where none is given, then starts nginx.
set -eu
folder=/srv/certificates
certificate=$folder/certificate.pem key=$folder/key.pem

if [ ! -e "$certificate" ] && [ ! -e "$key" ] && [ -w "$folder" ]; then
    name="${TREELINE_HOST:-localhost}"
    case "$name" in
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
    esac
    # Ten years, for whoever trusts this file trusts nobody else by it. The certificate comes last: it says that both are.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$name" \
        -addext "subjectAltName=$kind:$name,DNS:localhost,IP:127.0.0.1" -keyout "$key.new" -out "$certificate.new" \
        2>/dev/null
    mv "$key.new" "$key"
    mv "$certificate.new" "$certificate"
fi
for file in "$certificate" "$key"; do
    if [ ! -r "$file" ]; then
        echo "error: The proxy cannot read $file: the folder of TREELINE_CERTIFICATES must hold certificate.pem and" \
            "key.pem, readable by user $(id -u)." >&2
        exit 1
    fi
done
exec nginx -e stderr -c /etc/treeline/proxy.conf -g "daemon off;"
