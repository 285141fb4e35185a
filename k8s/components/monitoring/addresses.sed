# The files of monitoring/ have the addresses of one machine. Here roles are several pods each, whose
# addresses DNS has, and gateway and API ask for a token.
s/static_configs:/dns_sd_configs:/
s/- targets: \["localhost:3000"\]/- { names: [gateway-pods], type: A, port: 3000 }/
s/- targets: \["localhost:8000"\]/- { names: [worker], type: A, port: 8000 }/
s/- targets: \["localhost:9100"\]/- { names: [pipeline], type: A, port: 9100 }/
s/- targets: \["localhost:8080"\]/- { names: [api-pods], type: A, port: 8080 }/
s/- targets: \["localhost:15692"\]/- { names: [rabbitmq], type: A, port: 15692 }/
s/- targets: \["localhost:9090"\]/- { names: [prometheus], type: A, port: 9090 }/
s/- targets: \["localhost:9093"\]/- { names: [alertmanager], type: A, port: 9093 }/
/- job_name: \(gateway\|api\)$/a\
    authorization: { credentials_file: /run/secrets/token/prometheus }
/- url: http:\/\/localhost:8080\/webhook\/alerts/a\
        http_config: { authorization: { credentials_file: /run/secrets/token/alertmanager } }
s/http:\/\/localhost:8080/http:\/\/api:8080/
s/http:\/\/localhost:9090/http:\/\/prometheus:9090/
