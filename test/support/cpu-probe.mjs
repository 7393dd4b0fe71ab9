// Loaded into the server process with `--import`. Returns the CPU time of the process in µs, from a
// server on the socket CPU_PROBE.
import { createServer } from 'node:http';

const probe = createServer((_request, response) => {
  const { user, system } = process.cpuUsage();
  response.end(String(user + system));
});
probe.listen(process.env.CPU_PROBE);
probe.unref();
