//! The tokens that `k8s/secrets.sh` makes up, at a gateway that was given them.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::built::program;
use super::cluster::secrets;

/// A gateway that is reachable for others, as it is in a pod; it has no broker, and needs none here.
struct Gateway {
    child: Child,
    address: String,
}

impl Gateway {
    fn with(tokens: &str) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, tokens).unwrap();
        let mut command = Command::new(program());
        command.env_clear().env("OBSERVATORY_CONFIG", "").arg("gateway");
        command.env("OBSERVATORY_LISTEN", "0.0.0.0:0").env("OBSERVATORY_TOKENS_FILE", &file);
        command.env("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:1/%2f");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let found = said
            .find_map(|line| Some(line.split_once("listening on http://0.0.0.0:")?.1.to_owned()));
        let address = format!("127.0.0.1:{}", found.expect("it says where it listens"));
        // What it says later has to go somewhere.
        std::thread::spawn(move || said.count());
        Gateway { child, address }
    }

    /// The status that a request with a token is answered with.
    fn asked(&self, request: &str, token: Option<&str>) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut head = format!(
            "{request} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: 2\r\n"
        );
        head.push_str("content-type: application/json\r\n");
        if let Some(token) = token {
            head.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        stream.write_all(format!("{head}\r\n{{}}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn each_token_lets_in_whom_it_is_for_and_no_further() {
    let tokens = &secrets("kind")["observatory-tokens"];
    let gateway = Gateway::with(&tokens["tokens"]);
    // The kubelet has no token.
    assert_eq!(gateway.asked("GET /livez", None), 200);
    assert_eq!(gateway.asked("GET /metrics", None), 401);
    assert_eq!(gateway.asked("GET /metrics", Some(&tokens["prometheus"])), 200);
    assert_eq!(gateway.asked("POST /jobs", Some(&tokens["prometheus"])), 403);
    for writer in ["alertmanager", "gate", "admin"] {
        // Let in, to be told that there is no broker.
        assert_eq!(gateway.asked("POST /jobs", Some(&tokens[writer])), 503, "{writer}");
    }
    let others = &secrets("kind")["observatory-tokens"];
    assert_eq!(gateway.asked("GET /metrics", Some(&others["prometheus"])), 401);
}
