// A replica set of one, as durable writes need a set: made once, by whoever finds none.
// It is asked again until mongod is there, so it only says what is so.
const { readFileSync } = require("fs");
const password = readFileSync("/run/secrets/mongodb/password", "utf8").trim();
db.getSiblingDB("admin").auth("observatory", password);
try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb-0.mongodb.observatory.svc.cluster.local:27017" }] });
}
