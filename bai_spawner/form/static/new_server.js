// A server name that was never used (bai_spawner.names.new_server_name makes them likewise).

export const newServer = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `s${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
};
