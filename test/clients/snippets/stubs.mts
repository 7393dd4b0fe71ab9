// What kit.mts takes for granted: a database, a request, a response.
import { type AgentCredential, generateApiKey } from "signet/kit";

const { key, hash, prefix } = generateApiKey();
const rows: AgentCredential[] = [
  { id: "agent_1", name: "Bot", apiKeyHash: hash, apiKeyPrefix: prefix, permissions: ["ticket:read"] },
];

export const agentCredentials = { apiKeyPrefix: "apiKeyPrefix" as const };
export const eq = (column: "apiKeyPrefix", value: string) => (row: AgentCredential) => row[column] === value;
export const db = {
  query: {
    agentCredentials: {
      findFirst: async ({ where }: { where: (row: AgentCredential) => boolean }) => rows.find(where),
    },
  },
};
export const plaintextKey = key;
export const storedHash = hash;
export const request = new Request("https://api.example.com/", { headers: { Authorization: `Bearer ${key}` } });
export const response = new Response();
