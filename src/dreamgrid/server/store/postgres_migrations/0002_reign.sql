-- Counts the servers that have used the database; a number is never given twice. Servers of before made it
-- themselves. One that may only read and write rows cannot.
CREATE SEQUENCE IF NOT EXISTS dreamgrid_reign;
